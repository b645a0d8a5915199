"""What the header blocks of a called server's answers mean, worked out once for those it repeats.

A server answers nearly every call with the same two blocks: a head, and gRPC's trailers. So a block
is known by its bytes while HPACK's state stays the same, and two blocks together by the first.
"""

from __future__ import annotations

from sampan.wire.http2_blocks import BlockDecoder
from sampan.wire.http2_frames import Code, ConnectionFault

Fields = tuple[tuple[bytes, bytes], ...]

_MOST_KNOWN = 64  # blocks of a connection, and blocks that follow one: heads repeat themselves
_DIGITS = 3  # of a status (RFC 9110, section 15)


class Block:
    """A block of an answer, or all of its blocks so far: the fields but for HTTP/2's own.

    `status` is -1 where it tells none. Nobody changes it: answers share it.
    """

    __slots__ = ("_followed", "content_type", "fields", "status")

    def __init__(self, status: int, fields: Fields) -> None:
        self.status = status
        self.fields = fields
        types = [value for name, value in fields if name == b"content-type"]
        self.content_type = types[-1] if types else b""
        self._followed: dict[Block, Block] = {}

    def then(self, last: Block) -> Block:
        """Return both together; equal blocks lead to the same value, while they are known."""
        found = self._followed.get(last)
        if found is None:
            status = self.status if last.status < 0 else last.status
            found = Block(status, self.fields + last.fields)
            if len(self._followed) < _MOST_KNOWN:
                self._followed[last] = found
        return found


class BlockReader:
    """Reads the blocks of one connection, in their order. `most` bytes of headers are taken."""

    def __init__(self, most: int) -> None:
        self._decoder = BlockDecoder(most, "response")
        self._known: dict[bytes, Block] = {}

    def read(self, block: bytes) -> Block:
        """Return what a block means; ConnectionFault where it means nothing."""
        return self._known.get(block) or self._decode(block)

    def _decode(self, block: bytes) -> Block:
        read, same = self._decoder.decode(block)
        told, fields = b"", []
        for name, value in read:
            if name[:1] != b":":
                fields.append((bytes(name), bytes(value)))
            elif name == b":status":
                told = bytes(value)
        if told and not (told.isdigit() and len(told) <= _DIGITS):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "an answer without a status")
        made = Block(int(told) if told else -1, tuple(fields))
        if not same:
            self._known.clear()
        elif len(self._known) < _MOST_KNOWN:
            self._known[block] = made
        return made
