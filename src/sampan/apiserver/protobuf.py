"""Reading Kubernetes objects in protobuf, which kubectl sends for the core kinds that it creates.

client-go does not fall back to JSON for a body that is refused, so `kubectl create configmap` and
`kubectl auth can-i` need this. Only reading, and only the messages of `protobuf_kinds`; answers
are JSON, which every client that sends protobuf takes. Pure.

Wire format: protobuf.dev, "Encoding"; the envelope: Kubernetes API concepts, "Protobuf encoding".
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from sampan.machinery.errors import BadRequest, UnsupportedMediaType
from sampan.machinery.registry import JsonObject
from sampan.machinery.timestamps import rfc3339

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIDTHS = {FIXED64: 8, FIXED32: 4}
MAX_VARINT_BYTES = 10

Message: TypeAlias = "Mapping[int, Field]"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its JSON name and what it holds.

    `type` is `string`, `bytes` (base64 in JSON), `int`, `bool`, `time`, `quantity`, `json` (a text
    of JSON, as of `FieldsV1`) or `message`; a map has string keys and values of `type`.
    """

    name: str
    type: str = "string"
    repeated: bool = False
    map: bool = False
    fields: Message = field(default_factory=dict)


def decode_envelope(body: bytes) -> tuple[str, str, bytes]:
    """Return apiVersion, kind and the encoded object of a body; raise BadRequest."""
    if not body.startswith(MAGIC):
        raise BadRequest('the body is not Kubernetes protobuf: it does not begin with "k8s\\0"')
    found = {number: value for number, _, value in _read(body[len(MAGIC) :])}
    meta = {n: bytes(v).decode() for n, _, v in _read(_bytes(found.get(1, b"")))}
    return meta.get(1, ""), meta.get(2, ""), _bytes(found.get(2, b""))


def decode_object(body: bytes, kinds: Mapping[tuple[str, str], Message]) -> JsonObject:
    """Return the object of a body; raise BadRequest, or UnsupportedMediaType for other kinds."""
    try:
        api_version, kind, raw = decode_envelope(body)
        message = kinds.get((api_version, kind))
        if message is None:
            raise UnsupportedMediaType(
                f'"{kind}" of "{api_version}" is not read in protobuf here; send application/json'
            )
        return {"apiVersion": api_version, "kind": kind, **decode_message(raw, message)}
    except (ValueError, IndexError) as error:
        raise BadRequest(f"the body is not Kubernetes protobuf: {error}") from None


def decode_message(raw: bytes, message: Message) -> JsonObject:
    """Return a message as JSON. Empty strings, zeros and empty messages mean: not set."""
    obj: JsonObject = {}
    for number, wire, value in _read(raw):
        known = message.get(number)
        if known is None:
            raise ValueError(f"field {number} is not known; send application/json")
        decoded = _decode(known, wire, value)
        if known.map:
            obj.setdefault(known.name, {}).update(decoded)
        elif known.repeated:
            obj.setdefault(known.name, []).append(decoded)
        elif decoded not in ("", {}, None) and not (known.type == "int" and decoded == 0):
            obj[known.name] = decoded
    return obj


def _decode(known: Field, wire: int, value: int | bytes) -> Any:
    expected = VARINT if known.type in ("int", "bool") and not known.map else BYTES
    if wire != expected:
        raise ValueError(f'"{known.name}" has wire type {wire}, not {expected}')
    if known.map:
        entry = {n: v for n, _, v in _read(_bytes(value))}
        key = _bytes(entry.get(1, b"")).decode()
        return {key: _scalar(known.type, entry.get(2, b""))}
    if known.type == "message":
        return decode_message(_bytes(value), known.fields)
    return _scalar(known.type, value)


def _scalar(kind: str, value: int | bytes) -> Any:
    if isinstance(value, int):
        if kind == "bool":
            return bool(value)
        return value - (1 << 64) if value >> 63 else value
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "time":
        parts = {n: v for n, _, v in _read(value)}
        return rfc3339(float(_scalar("int", parts[1]))) if parts.get(1) else None
    if kind in ("quantity", "json"):
        inner = _bytes({n: v for n, _, v in _read(value)}.get(1, b""))
        return orjson.loads(inner or b"{}") if kind == "json" else inner.decode()
    return value.decode()


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"a number ({value}) where a message is expected")  # noqa: TRY004 - input
    return value


def _read(raw: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield field number, wire type and value of each field; raise ValueError."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == VARINT:
            value, at = _varint(raw, at)
        else:
            length, at = _varint(raw, at) if wire == BYTES else (WIDTHS.get(wire, -1), at)
            if length < 0 or at + length > len(raw):
                raise ValueError(f"field {number} is cut off or of unknown wire type {wire}")
            value, at = raw[at : at + length], at + length
        yield number, wire, value


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(MAX_VARINT_BYTES):
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")
