"""Length-prefixed messages (PROTOCOL-HTTP2): a flag, a length of four bytes, the message.

Compression: `identity` and `gzip` are read; answers go out as they are.
"""

from __future__ import annotations

import struct
import zlib

from sampan.protocol.grpc.status import RpcError, Status

PREFIX = struct.Struct(">BL")
PREFIX_BYTES = PREFIX.size
ENCODINGS = b"identity,gzip"
_GZIP = 16 + zlib.MAX_WBITS


def pack(message: bytes) -> bytes:
    """Return a message with its prefix."""
    return PREFIX.pack(0, len(message)) + message


def unpack_one(body: bytes, encoding: bytes, most: int) -> bytes:
    """Return the one message of a unary call; RpcError where the body is none."""
    if len(body) < PREFIX_BYTES:
        raise RpcError(Status.INVALID_ARGUMENT, "the call holds no message; send one")
    packed, size = PREFIX.unpack_from(body)
    if size != len(body) - PREFIX_BYTES:
        raise RpcError(
            Status.INVALID_ARGUMENT,
            f"the message says it has {size} bytes, {len(body) - PREFIX_BYTES} follow; this method "
            "takes one message",
        )
    return unpack(packed, body[PREFIX_BYTES:], encoding, most)


def unpack(flag: int, message: bytes, encoding: bytes, most: int) -> bytes:
    """Return a message as it was before compression; `most` bytes of it at most."""
    if len(message) > most:
        raise too_large(len(message), most)
    if not flag:
        return message
    if flag != 1 or encoding in {b"", b"identity"}:
        raise RpcError(
            Status.INTERNAL, f"a message is flagged {flag} without a grpc-encoding that explains it"
        )
    if encoding != b"gzip":
        raise unknown_encoding(encoding)
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(message, most + 1)
    except zlib.error as error:
        raise RpcError(Status.INTERNAL, f"the message is no gzip: {error}") from None
    if len(plain) > most:
        raise too_large(len(plain), most)
    if not unpacker.eof:
        raise RpcError(Status.INTERNAL, "the message is gzip that breaks off")
    return plain


def too_large(size: int, most: int) -> RpcError:
    """Return the refusal of a message above the limit, in grpcio's words."""
    return RpcError(
        Status.RESOURCE_EXHAUSTED, f"Received message larger than max ({size} vs. {most})"
    )


def unknown_encoding(encoding: bytes) -> RpcError:
    """Return the refusal of a compression that is not read."""
    return RpcError(
        Status.UNIMPLEMENTED,
        f'grpc-encoding "{encoding.decode("latin-1")}" is not served; use one of '
        f"{ENCODINGS.decode()}",
    )


class Unpacker:
    """Takes the bytes of a streaming call apart into messages."""

    def __init__(self, encoding: bytes, most: int) -> None:
        self._encoding = encoding
        self._most = most
        self._rest = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._rest += data

    def next(self) -> tuple[bytes, int] | None:
        """Return the next whole message and the bytes it took; None: more must come.

        RpcError as soon as its prefix tells that it is too large.
        """
        rest = self._rest
        if len(rest) < PREFIX_BYTES:
            return None
        flag, size = PREFIX.unpack_from(rest)
        if size > self._most:
            raise too_large(size, self._most)
        whole = PREFIX_BYTES + size
        if len(rest) < whole:
            return None
        message = bytes(rest[PREFIX_BYTES:whole])
        del rest[:whole]
        return unpack(flag, message, self._encoding, self._most), whole

    @property
    def waiting(self) -> int:
        """The bytes of what is not whole."""
        return len(self._rest)
