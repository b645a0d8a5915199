"""Messages as dicts, coded by their tables (`schema`): for the small ones, off the hot path.

As proto3 has it, what is zero, empty or false is not sent, and what is absent reads as that.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, TypeAlias

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import protobuf
from sampan.protocol.grpc.schema import (
    BOOL,
    BYTES,
    DOUBLE,
    FLOAT,
    MESSAGE,
    MESSAGES,
    STRING,
    Field,
)

_WIRE_TYPES = {
    STRING: protobuf.LENGTH,
    BYTES: protobuf.LENGTH,
    MESSAGE: protobuf.LENGTH,
    FLOAT: protobuf.FIXED32,
    DOUBLE: protobuf.FIXED64,
}
_EMPTY: dict[str, Any] = {STRING: "", BYTES: b"", BOOL: False, FLOAT: 0.0, DOUBLE: 0.0}


Tables: TypeAlias = "Mapping[str, tuple[Field, ...]]"
"""The fields of messages by full name."""


def decode(name: str, data: bytes, tables: Tables = MESSAGES) -> JsonObject:
    """Return a message by its full name; InvalidInput where the bytes are none.

    Every field is there but members of a oneof and single messages that were not sent.
    """
    return _decode(name, data, 0, len(data), tables)


def _decode(name: str, data: bytes, at: int, end: int, tables: Tables) -> JsonObject:
    table = tables[name]
    value: JsonObject = {}
    for field in table:
        if field.repeated:
            value[field.name] = []
        elif field.kind != MESSAGE and not field.choice:
            value[field.name] = _EMPTY.get(field.kind, 0)
    known = {field.number: field for field in table}
    for tag, start, stop in protobuf.fields(data, at, end):
        if tag >> 3 not in known:
            continue
        field = known[tag >> 3]
        if field.choice:
            for other in table:
                if other.choice == field.choice:
                    value.pop(other.name, None)
        wire_type = tag & 7
        if field.kind == MESSAGE and wire_type == protobuf.LENGTH:
            item = _decode(field.of, data, start, stop, tables)
            if field.repeated:
                value[field.name].append(item)
            else:
                value[field.name] = item
        else:
            _take(value, field, wire_type, data, (start, stop))
    return value


def _take(
    value: JsonObject, field: Field, wire_type: int, data: bytes, place: tuple[int, int]
) -> None:
    """Take a field that is no message."""
    start, stop = place
    wanted = _WIRE_TYPES.get(field.kind, protobuf.VARINT)
    if field.repeated and wire_type == protobuf.LENGTH and wanted != protobuf.LENGTH:
        at = start
        while at < stop:
            item, at = protobuf.read_varint(data, at, stop)
            value[field.name].append(_number(field, item))
        return
    if wire_type != wanted:
        raise InvalidInput(
            f'field "{field.name}" of the message has wire type {wire_type}; send {wanted}'
        )
    item = _item(field, data, start, stop)
    if field.repeated:
        value[field.name].append(item)
    else:
        value[field.name] = item


def _item(field: Field, data: bytes, start: int, stop: int) -> Any:
    if field.kind == STRING:
        return protobuf.text(data, start, stop)
    if field.kind == BYTES:
        return data[start:stop]
    if field.kind in {FLOAT, DOUBLE}:
        return struct.unpack_from("<f" if field.kind == FLOAT else "<d", data, start)[0]
    return _number(field, start)


def _number(field: Field, value: int) -> int | bool:
    if field.kind == BOOL:
        return bool(value)
    return protobuf.signed(value) if field.kind.startswith("int") else value


def encode(name: str, value: JsonObject, tables: Tables = MESSAGES) -> bytes:
    """Return the bytes of a message by its full name."""
    parts: list[bytes] = []
    for field in tables[name]:
        item = value.get(field.name)
        if item is None:
            continue
        if field.repeated and _WIRE_TYPES.get(field.kind) is None:
            packed = b"".join(protobuf.varint(int(number)) for number in item)
            parts.append(protobuf.delimited(field.number, packed) if packed else b"")
        elif field.repeated:
            parts += [_encode_item(field, one, tables) for one in item]
        elif item != _EMPTY.get(field.kind, 0) or field.choice:
            parts.append(_encode_item(field, item, tables))
    return b"".join(parts)


def _encode_item(field: Field, item: Any, tables: Tables) -> bytes:
    if field.kind == STRING:
        return protobuf.delimited(field.number, item.encode())
    if field.kind == BYTES:
        return protobuf.delimited(field.number, item)
    if field.kind == MESSAGE:
        return protobuf.delimited(field.number, encode(field.of, item, tables))
    tag = protobuf.varint(field.number << 3 | _WIRE_TYPES.get(field.kind, protobuf.VARINT))
    if field.kind in {FLOAT, DOUBLE}:
        return tag + struct.pack("<f" if field.kind == FLOAT else "<d", item)
    return tag + protobuf.varint(int(item))
