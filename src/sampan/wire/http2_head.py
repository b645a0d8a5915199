"""HTTP/2 header blocks: HPACK in, validated heads out; response heads as blocks (RFC 9113, 8).

Reading remembers blocks: while the compression state stays the same (all fields come from the
tables, the steady state of every client) equal bytes mean equal headers, and HPACK is not asked.
Writing uses no compression state at all: literals cost a few bytes and save a table a connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sampan.wire.http2_blocks import BlockDecoder
from sampan.wire.http2_frames import Code, StreamFault
from sampan.wire.limits import Limits
from sampan.wire.message import HeaderList, Note, Request

_REMEMBERED = 64  # header blocks a connection; one client sends a handful
_GRPC = b"application/grpc"
_FORBIDDEN = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")  # RFC 9110's token without capitals
_BAD_VALUE = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]$")
_STATIC_STATUS = {200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}
_STATUS, _CONTENT_LENGTH, _CONTENT_TYPE, _DATE = 8, 28, 31, 33  # RFC 7541, appendix A


@dataclass(slots=True)
class Head:
    """A request's head. `length` is its content-length, -1 where it sent none; `expects`: the peer
    waits for `100 Continue` before it sends the body. A head that its connection remembers is
    shared by many requests and has `note` and `texts`; nobody changes it."""

    method: bytes
    target: bytes
    headers: HeaderList
    grpc: bool = False
    length: int = -1
    expects: bool = False
    note: Note | None = None
    texts: dict[str, str] | None = None

    def request(self, body: bytes) -> Request:
        """Return the request that begins with it."""
        return Request(
            self.method, self.target, self.headers.copy(), body, note=self.note, texts=self.texts
        )


class HeadReader:
    """Decodes the header blocks of one connection, in their order."""

    def __init__(self, limits: Limits) -> None:
        self._blocks = BlockDecoder(limits.header_bytes, "request")
        self._remembered: dict[bytes, Head] = {}

    def read(self, block: bytes, *, ends: bool) -> Head:
        """Return the head of a request; ConnectionFault, or StreamFault for a malformed one."""
        head = self._remembered.get(block)
        if head is None:
            fields, same = self._decode(block)
            head = make_head(fields)
            if same and len(self._remembered) < _REMEMBERED:
                head.note = Note()
                head.texts = {k.decode("latin-1"): v.decode("latin-1") for k, v in head.headers}
                self._remembered[block] = head
        if ends and head.length > 0:
            raise StreamFault(Code.PROTOCOL_ERROR, "a content-length and no body")
        return head

    def skip(self, block: bytes) -> None:
        """Decode what nobody reads (trailers, refused streams): the state must follow."""
        self._decode(block)

    def _decode(self, block: bytes) -> tuple[HeaderList, bool]:
        """Return the fields, and whether they mean the same at any time: else all is forgotten."""
        fields, same = self._blocks.decode(block)
        if not same:
            self._remembered.clear()
        return fields, same


def make_head(fields: HeaderList) -> Head:
    """Return the head that decoded fields make; StreamFault where they are malformed (8.2, 8.3)."""
    pseudo: dict[bytes, bytes] = {}
    headers: HeaderList = []
    grpc, length, expects = False, -1, False
    for name, value in fields:
        if name[:1] == b":":
            if headers or name in pseudo or name not in _PSEUDO:
                raise _malformed(name, "is repeated, unknown or follows a regular field")
            pseudo[name] = value
            continue
        _validate_field(name, value)
        headers.append((bytes(name), bytes(value)))
        if name == b"content-type":
            grpc = _is_grpc(value)
        elif name == b"content-length":
            length = _length(value, length)
        elif name == b"expect":
            expects = value.lower() == b"100-continue"
    if any(_BAD_VALUE.search(value) for value in pseudo.values()):
        raise _malformed(b":path", "holds a line break or a blank at its end")
    target = _target(pseudo)
    authority = pseudo.get(b":authority")
    if authority is not None:
        headers = [(b"host", bytes(authority)), *(item for item in headers if item[0] != b"host")]
    method = bytes(pseudo[b":method"])
    return Head(method, target, _joined_cookies(headers), grpc, length, expects)


def _target(pseudo: dict[bytes, bytes]) -> bytes:
    method, path = pseudo.get(b":method"), pseudo.get(b":path", b"")
    if not method or (method != b"CONNECT" and not (path and pseudo.get(b":scheme"))):
        raise _malformed(b":method", ":scheme and :path are all needed")
    if method != b"CONNECT" and path[:1] != b"/" and (method, path) != (b"OPTIONS", b"*"):
        raise _malformed(b":path", "begins with no slash")
    return bytes(path)


def _validate_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise _malformed(name, "is no lower-case field name")
    if _BAD_VALUE.search(value):
        raise _malformed(name, "holds a line break or a blank at its end")
    if name in _FORBIDDEN or (name == b"te" and value.lower() != b"trailers"):
        raise _malformed(name, "does not belong in HTTP/2")


def _length(value: bytes, before: int) -> int:
    if not value.isdigit() or len(value) > 18 or before not in {-1, int(value)}:
        raise _malformed(b"content-length", "is no whole number, or two different ones")
    return int(value)


def _is_grpc(value: bytes) -> bool:
    return value.startswith(_GRPC) and value[len(_GRPC) :][:1] in {b"", b"+", b";"}


def _joined_cookies(headers: HeaderList) -> HeaderList:
    """Join the crumbs of a cookie (section 8.2.3)."""
    crumbs = [value for name, value in headers if name == b"cookie"]
    if len(crumbs) < 2:
        return headers
    kept = [item for item in headers if item[0] != b"cookie"]
    return [*kept, (b"cookie", b"; ".join(crumbs))]


def _malformed(name: bytes, why: str) -> StreamFault:
    return StreamFault(Code.PROTOCOL_ERROR, f'field "{name.decode("latin-1")}" {why}')


def encode_response(
    status: int, content_type: bytes, length: int, fields: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return the block of a response head; `length` below zero sends no content-length."""
    index = _STATIC_STATUS.get(status)
    first = bytes((0x80 | index,)) if index else _indexed_name(_STATUS, b"%d" % status)
    parts = [first]
    if content_type:
        parts.append(_indexed_name(_CONTENT_TYPE, content_type))
    if length >= 0:
        parts.append(_indexed_name(_CONTENT_LENGTH, b"%d" % length))
    parts.append(encode_fields(fields))
    return b"".join(parts)


def encode_post(
    scheme: bytes, authority: bytes, path: bytes, fields: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return the block of a POST's head; method and scheme are in the static table."""
    start = b"\x83" + (b"\x87" if scheme == b"https" else b"\x86")
    return b"".join(
        (start, _indexed_name(1, authority), _indexed_name(4, path), encode_fields(fields))
    )


def encode_date(value: bytes) -> bytes:
    """Return the block of a date field."""
    return _indexed_name(_DATE, value)


def encode_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the block of fields as literals that no table remembers (RFC 7541, section 6.2.2)."""
    block = b""
    for name, value in fields:
        start = _literal_name(name)
        if not start or _BAD_VALUE.search(value):
            raise ValueError(
                f'response header "{name.decode("latin-1")}" holds a line break or what no header '
                "may hold; send the value without it"
            )
        block += start + _string(value)
    return block


@lru_cache(256)
def _literal_name(name: bytes) -> bytes:
    """Return how a literal field of this name begins; nothing for what is no name."""
    return b"\x00" + _string(name) if _NAME.fullmatch(name) else b""


def _indexed_name(index: int, value: bytes) -> bytes:
    """Return a literal without indexing whose name is an entry of the static table."""
    prefix = bytes((index,)) if index < 15 else bytes((15, index - 15))
    return prefix + _string(value)


def _string(value: bytes) -> bytes:
    """Return a string literal, never Huffman coded: the bytes it saves cost more to make."""
    size = len(value)
    if size < 127:
        return bytes((size,)) + value
    parts = bytearray((127,))
    size -= 127
    while size >= 128:
        parts.append(size & 127 | 128)
        size >>= 7
    parts.append(size)
    return bytes(parts) + value
