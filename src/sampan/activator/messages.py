"""Envoy's external authorization in the bytes of its messages: what is asked, and the answers.

Source: `envoy.service.auth.v3` (CheckRequest, CheckResponse) and `google.rpc.Status`. Only what the
activator reads and says is known here; other fields are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from sampan.protocol.grpc.protobuf import delimited, fields, text, varint

CHECK = b"/envoy.service.auth.v3.Authorization/Check"
"""The method that Envoy calls."""

_LENGTH = 2
_ATTRIBUTES, _CONTEXT_EXTENSIONS = 1 << 3 | _LENGTH, 10 << 3 | _LENGTH
_REQUEST, _HTTP, _HEADERS = 4 << 3 | _LENGTH, 2 << 3 | _LENGTH, 3 << 3 | _LENGTH
_KEY, _VALUE = 1 << 3 | _LENGTH, 2 << 3 | _LENGTH
_STATUS, _DENIED, _OK = 1, 2, 3
_RESPONSE_HEADERS = 6
_UNAVAILABLE = 14
_NOTHING = b""


def decode_context(message: bytes) -> Mapping[str, str]:
    """Return the context extensions of a CheckRequest: what its route says of itself.

    Raise InvalidInput where the bytes are no message.
    """
    found = b""
    for tag, start, stop in fields(message, 0, len(message)):
        if tag == _ATTRIBUTES:
            for inner, at, end in fields(message, start, stop):
                if inner == _CONTEXT_EXTENSIONS:
                    found += delimited(1, message[at:end])
    return _decode_entries(found)


def decode_header(message: bytes, name: str) -> str:
    """Return a header of the request that a CheckRequest is about; "" where it has none.

    Raise InvalidInput where the bytes are no message.
    """
    if name.encode() not in message:  # nearly always, and told in a glance
        return ""
    found = [(0, len(message))]
    for step in (_ATTRIBUTES, _REQUEST, _HTTP, _HEADERS):
        found = [
            (at, end)
            for start, stop in found
            for tag, at, end in fields(message, start, stop)
            if tag == step
        ]
    return dict(_decode_entry(message, at, end) for at, end in found).get(name, "")


@lru_cache(maxsize=4096)
def _decode_entries(entries: bytes) -> Mapping[str, str]:
    """Return a map's entries. A route says the same of itself at each of its requests."""
    return MappingProxyType(
        dict(_decode_entry(entries, at, end) for _, at, end in fields(entries, 0, len(entries)))
    )


def _decode_entry(message: bytes, start: int, stop: int) -> tuple[str, str]:
    key = value = ""
    for tag, at, end in fields(message, start, stop):
        if tag == _KEY:
            key = text(message, at, end)
        elif tag == _VALUE:
            value = text(message, at, end)
    return key, value


def encode_go(response_headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the CheckResponse that lets a request go; its answer gets these headers."""
    added = _encode_headers(_RESPONSE_HEADERS, response_headers)
    return delimited(_STATUS, _NOTHING) + delimited(_OK, added)


def encode_refusal(status: int, message: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the CheckResponse that answers a request with an HTTP status and a text."""
    denied = delimited(1, varint(1 << 3) + varint(status))
    denied += _encode_headers(2, headers)
    denied += delimited(3, message.encode())
    return delimited(_STATUS, varint(1 << 3) + varint(_UNAVAILABLE)) + delimited(_DENIED, denied)


def _encode_headers(number: int, headers: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(
        delimited(number, delimited(1, delimited(1, key.encode()) + delimited(2, value.encode())))
        for key, value in headers
    )
