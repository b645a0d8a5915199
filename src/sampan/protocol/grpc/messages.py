"""Messages as dicts, coded by their tables (`schema`): for the small ones, off the hot path.

As proto3 has it, what is zero, empty or false is not sent, and what is absent reads as that.
"""

from __future__ import annotations

import struct
from typing import Any

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


def decode(name: str, data: bytes) -> JsonObject:
    """Return a message by its full name; InvalidInput where the bytes are none.

    Every field is there but members of a oneof and single messages that were not sent.
    """
    return _decode(MESSAGES[name], data, 0, len(data))


def _decode(table: tuple[Field, ...], data: bytes, at: int, end: int) -> JsonObject:
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
        _take(value, field, tag & 7, data, (start, stop))
    return value


def _take(
    value: JsonObject, field: Field, wire_type: int, data: bytes, place: tuple[int, int]
) -> None:
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
    if field.kind == MESSAGE:
        return _decode(MESSAGES[field.of], data, start, stop)
    if field.kind in {FLOAT, DOUBLE}:
        return struct.unpack_from("<f" if field.kind == FLOAT else "<d", data, start)[0]
    return _number(field, start)


def _number(field: Field, value: int) -> int | bool:
    if field.kind == BOOL:
        return bool(value)
    return protobuf.signed(value) if field.kind.startswith("int") else value


def encode(name: str, value: JsonObject) -> bytes:
    """Return the bytes of a message by its full name."""
    return _encode(MESSAGES[name], value)


def _encode(table: tuple[Field, ...], value: JsonObject) -> bytes:
    parts: list[bytes] = []
    for field in table:
        item = value.get(field.name)
        if item is None:
            continue
        if field.repeated and _WIRE_TYPES.get(field.kind) is None:
            packed = b"".join(protobuf.varint(int(number)) for number in item)
            parts.append(protobuf.delimited(field.number, packed) if packed else b"")
        elif field.repeated:
            parts += [_encode_item(field, one) for one in item]
        elif item != _EMPTY.get(field.kind, 0) or field.choice:
            parts.append(_encode_item(field, item))
    return b"".join(parts)


def _encode_item(field: Field, item: Any) -> bytes:
    if field.kind == STRING:
        return protobuf.delimited(field.number, item.encode())
    if field.kind == BYTES:
        return protobuf.delimited(field.number, item)
    if field.kind == MESSAGE:
        return protobuf.delimited(field.number, _encode(MESSAGES[field.of], item))
    tag = protobuf.varint(field.number << 3 | _WIRE_TYPES.get(field.kind, protobuf.VARINT))
    if field.kind in {FLOAT, DOUBLE}:
        return tag + struct.pack("<f" if field.kind == FLOAT else "<d", item)
    return tag + protobuf.varint(int(item))
