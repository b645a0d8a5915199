"""HTTP/2 frames as bytes (RFC 9113, sections 4 to 7): numbers and builders. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_BYTES = 16 * 1024  # the largest payload a peer must take unasked, and what ours may have
DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1
HEAD = struct.Struct(">BHBBL")  # length in two parts, kind, flags, stream
HEAD_BYTES = HEAD.size

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20


class Kind(IntEnum):
    """Frame types."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Code(IntEnum):
    """Error codes (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(IntEnum):
    """Settings (section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ConnectionFault(Exception):
    """The peer broke the protocol of the whole connection: it ends with GOAWAY."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class StreamFault(Exception):
    """The peer broke the protocol of one stream: it ends with RST_STREAM."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    size = len(payload)
    return HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(
        Kind.SETTINGS, 0, 0, b"".join(struct.pack(">HL", *item) for item in values.items())
    )


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Yield number and value of each setting, unknown ones too."""
    return struct.iter_unpack(">HL", payload)


def window_update(stream: int, size: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def reset(stream: int, code: Code) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(Kind.RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last: int, code: Code, text: str = "") -> bytes:
    """Return a GOAWAY frame; its text is for people."""
    return frame(Kind.GOAWAY, 0, 0, struct.pack(">LL", last, code) + text.encode())


def header_frames(stream: int, block: bytes, *, end: bool, limit: int) -> bytes:
    """Return HEADERS, and CONTINUATION where the block is larger than a frame may be."""
    flags = END_STREAM if end else 0
    size = len(block)
    if size <= limit:  # not by way of `frame`: every answer has two of these
        return HEAD.pack(size >> 16, size & 0xFFFF, 1, flags | END_HEADERS, stream) + block
    parts = [frame(Kind.HEADERS, flags, stream, block[:limit])]
    for at in range(limit, len(block), limit):
        last = END_HEADERS if at + limit >= len(block) else 0
        parts.append(frame(Kind.CONTINUATION, last, stream, block[at : at + limit]))
    return b"".join(parts)
