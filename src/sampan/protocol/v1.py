"""KServe V1: `{"instances": [...]}` in, `{"predictions": [...]}` out."""

from __future__ import annotations

from typing import Any

import orjson

from sampan.protocol import json_out, media
from sampan.protocol.errors import InvalidInput


def decode(body: bytes, content_type: bytes | None) -> Any:
    """Return the payload: decoded JSON, or the body itself where its type is not JSON."""
    return loads(body) if media.is_v1_json(media.media_type(content_type)) else body


def loads(body: bytes) -> Any:
    """Return decoded JSON; InvalidInput where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"Unrecognized request format: {error}") from None


def validate(payload: Any) -> None:
    """Check what the protocol fixes: `instances`, where given, is a list."""
    if isinstance(payload, dict) and not isinstance(payload.get("instances", []), list):
        raise InvalidInput('Expected "instances" to be a list')


def encode(result: Any) -> tuple[bytes, bytes]:
    """Return body and content type. Bytes and text go out as they are, without a type."""
    if type(result) is dict:  # nearly always
        return json_out.dumps(result), media.JSON
    if isinstance(result, (bytes, bytearray, memoryview)):
        return bytes(result), b""
    if isinstance(result, str):
        return result.encode(), b""
    return json_out.dumps(result), media.JSON
