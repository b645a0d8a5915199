"""A message of the schema as JSON has it and as gRPC has it. Pure."""

from __future__ import annotations

import struct
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import protobuf
from sampan.protocol.grpc.protobuf import delimited, varint
from sampan.runtimes.triton.schema import ENUMS, MESSAGES, WHOLE, Field

_CHOICES = {
    "ModelConfig": ("dynamic_batching", "sequence_batching", "ensemble_scheduling"),
    "ModelVersionPolicy": ("latest", "all", "specific"),
}


def with_defaults(message: str, value: JsonObject) -> JsonObject:
    """Return a message with its unset numbers, texts and lists, as Triton's REST shows it.

    Messages within that are not set stay away.
    """
    shown: JsonObject = {}
    for name, field in MESSAGES[message].items():
        given = value.get(name)
        if field.mapped:
            shown[name] = {k: _shown(field, v) for k, v in (given or {}).items()}
        elif field.repeated:
            shown[name] = [_shown(field, item) for item in given or ()]
        elif given is not None:
            shown[name] = _shown(field, given)
        elif field.kind not in MESSAGES:
            shown[name] = _default(field.kind)
    return shown


def _shown(field: Field, value: Any) -> Any:
    return with_defaults(field.kind, value) if field.kind in MESSAGES else value


def _default(kind: str) -> Any:
    if kind in ENUMS:
        return ENUMS[kind][0]
    return {"string": "", "bool": False, "bytes": b""}.get(kind, 0)


def from_json(message: str, value: Any, path: str = "") -> JsonObject:
    """Return a decoded JSON object as the message it stands for; InvalidInput names the field."""
    if not isinstance(value, dict):
        raise InvalidInput(f'"{path or message}" is {value!r}; give an object')
    made: JsonObject = {}
    for name, item in value.items():
        field = MESSAGES[message].get(name)
        here = f"{path}.{name}".lstrip(".")
        if field is None:
            raise InvalidInput(f'"{here}" is no field of {message}; remove it')
        if field.mapped and isinstance(item, dict):
            made[name] = {k: _from_json(field, v, f"{here}.{k}") for k, v in item.items()}
        elif field.repeated and isinstance(item, list):
            made[name] = [_from_json(field, v, f"{here}[{i}]") for i, v in enumerate(item)]
        elif field.mapped or field.repeated:
            raise InvalidInput(
                f'"{here}" is {item!r}; give {"an object" if field.mapped else "a list"}'
            )
        else:
            made[name] = _from_json(field, item, here)
    return made


def _from_json(field: Field, item: Any, path: str) -> Any:
    kind = field.kind
    if kind in MESSAGES:
        return from_json(kind, item, path)
    if kind in WHOLE and isinstance(item, str) and item.lstrip("-").isdecimal():
        item = int(item)  # protobuf's JSON writes 64 bits as text
    fits = {
        "string": isinstance(item, str),
        "bool": isinstance(item, bool),
        "float": isinstance(item, (int, float)) and not isinstance(item, bool),
        "double": isinstance(item, (int, float)) and not isinstance(item, bool),
    }.get(kind, item in ENUMS[kind] if kind in ENUMS else type(item) is int)
    if not fits:
        wanted = f"one of {', '.join(ENUMS[kind])}" if kind in ENUMS else f"a {kind}"
        raise InvalidInput(f'"{path}" is {item!r}; give {wanted}')
    return item


def encode(message: str, value: JsonObject) -> bytes:
    """Return the bytes of a message; what is zero or empty is not sent (proto3)."""
    parts: list[bytes] = []
    chosen = _CHOICES.get(message, ())
    for name, field in MESSAGES[message].items():
        given = value.get(name)
        if given is None:
            continue
        if field.mapped:
            for key, item in given.items():
                entry = delimited(1, key.encode()) + _encode(field._replace(number=2), item)
                parts.append(delimited(field.number, entry))
        elif field.repeated:
            parts += _encode_all(field, given)
        elif given or name in chosen or field.kind in MESSAGES:
            parts.append(_encode(field, given))
    return b"".join(parts)


def _encode_all(field: Field, items: list[Any]) -> list[bytes]:
    if not items:
        return []
    if field.kind in WHOLE or field.kind == "bool" or field.kind in ENUMS:
        packed = b"".join(varint(_number(field.kind, item)) for item in items)
        return [delimited(field.number, packed)]
    if field.kind in {"float", "double"}:
        form = f"<{len(items)}{field.kind[0]}"
        return [delimited(field.number, struct.pack(form, *items))]
    return [_encode(field, item) for item in items]


def _encode(field: Field, item: Any) -> bytes:
    if field.kind in MESSAGES:
        return delimited(field.number, encode(field.kind, item))
    if field.kind in {"string", "bytes"}:
        return delimited(field.number, item.encode() if isinstance(item, str) else item)
    if field.kind == "float":
        return varint(field.number << 3 | protobuf.FIXED32) + struct.pack("<f", item)
    return varint(field.number << 3) + varint(_number(field.kind, item))


def _number(kind: str, item: Any) -> int:
    return ENUMS[kind].index(item) if kind in ENUMS else int(item)


def decode(message: str, data: bytes) -> JsonObject:
    """Return a message of requests: texts, numbers, truth values, bytes and maps of messages."""
    fields = {field.number: field for field in MESSAGES[message].values()}
    value: JsonObject = {}
    for tag, start, stop in protobuf.fields(data, 0, len(data)):
        field = fields.get(tag >> 3)
        framed = field is not None and (field.mapped or field.kind in {"string", "bytes"})
        if field is None or framed is not (tag & 7 == protobuf.LENGTH):
            continue
        if field.mapped:
            key, item = _decode_entry(field, data[start:stop])
            value.setdefault(field.name, {})[key] = item
        elif field.kind == "string":
            value[field.name] = protobuf.text(data, start, stop)
        elif field.kind == "bytes":
            value[field.name] = data[start:stop]
        else:
            value[field.name] = bool(start) if field.kind == "bool" else protobuf.signed(start)
    return value


def _decode_entry(field: Field, data: bytes) -> tuple[str, Any]:
    key, item = "", decode(field.kind, b"")
    for tag, start, stop in protobuf.fields(data, 0, len(data)):
        if tag >> 3 == 1:
            key = protobuf.text(data, start, stop)
        elif tag >> 3 == 2:
            item = decode(field.kind, data[start:stop])
    return key, item
