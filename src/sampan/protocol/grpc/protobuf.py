"""Protocol Buffers' wire format (proto3): varints, tags, fields.

Source: "Encoding" in the Protocol Buffers documentation. A message is walked, never built: a field
is a tag and where its value lies.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.protocol.errors import InvalidInput

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_MASK = 2**64 - 1


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield `(tag, start, stop)` of each field between two offsets.

    The tag is number and wire type as they are coded. Of a varint, `start` is its value.
    InvalidInput for what is cut short, and for groups, which proto3 does not have.
    """
    while at < end:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = read_varint(data, at - 1, end)
        kind = tag & 7
        if kind == LENGTH:
            if at < end and data[at] < 128:
                start = at + 1
                stop = start + data[at]
            else:
                size, start = read_varint(data, at, end)
                stop = start + size
        elif kind == VARINT:
            start, at = read_varint(data, at, end)
            yield tag, start, at
            continue
        else:
            start = at
            stop = at + _fixed_size(kind, tag)
        if stop > end:
            raise cut_short()
        yield tag, start, stop
        at = stop


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return an unsigned varint of at most 64 bits and where it ends."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & _MASK, at
        shift += 7
        if shift > 63:
            raise InvalidInput("the message holds a varint of more than ten bytes")
    raise cut_short()


def signed(value: int) -> int:
    """Return the int64 that a varint stands for."""
    return value - 2**64 if value >> 63 else value


def text(data: bytes, start: int, stop: int) -> str:
    """Return a string field."""
    try:
        return data[start:stop].decode()
    except UnicodeDecodeError:
        raise InvalidInput(
            f'the message holds the string "{data[start:stop][:40]!r}", which is no UTF-8'
        ) from None


def varint(value: int) -> bytes:
    """Return a varint; negative values as int64, in ten bytes."""
    if 0 <= value < 128:
        return bytes((value,))
    value &= _MASK
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field: bytes, a string's UTF-8, a message."""
    return varint(number << 3 | LENGTH) + varint(len(payload)) + payload


def _fixed_size(kind: int, tag: int) -> int:
    if kind == FIXED64:
        return 8
    if kind == FIXED32:
        return 4
    raise InvalidInput(f"the message's field {tag >> 3} has wire type {kind}, which proto3 has not")


def cut_short() -> InvalidInput:
    """Return the error of a message that ends inside a field."""
    return InvalidInput("the message ends inside a field; send it whole")
