"""Packed varints to NumPy and back, a pass a byte position instead of a loop a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import protobuf

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FEW = 32  # numbers up to which a Python loop is quicker than NumPy's fixed cost


def decode(data: bytes, start: int, stop: int) -> npt.NDArray[np.uint64]:
    """Return the numbers of a packed field, as unsigned 64 bit."""
    import numpy as np

    if stop - start <= _FEW:
        values: list[int] = []
        at = start
        while at < stop:
            value, at = protobuf.read_varint(data, at, stop)
            values.append(value)
        return np.array(values, dtype=np.uint64)
    raw = np.frombuffer(data, np.uint8, stop - start, start)
    ends = np.flatnonzero(raw < 128)
    if not len(ends) or ends[-1] != len(raw) - 1:
        raise protobuf.cut_short()
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > 10:
        raise InvalidInput("the message holds a varint of more than ten bytes")
    numbers = np.zeros(len(ends), np.uint64)
    for position in range(longest):
        reached = lengths > position
        bits = (raw[starts[reached] + position] & 127).astype(np.uint64)
        numbers[reached] |= bits << np.uint64(7 * position)
    return numbers


def encode(array: npt.NDArray[Any]) -> bytes:
    """Return whole numbers as packed varints; negative ones as int64, as protobuf does."""
    import numpy as np

    flat = array.ravel()
    if flat.size <= _FEW:
        values = flat.tolist()
        if values and min(values) >= 0 and max(values) < 128:
            return bytes(values)  # a byte each: class labels, mostly
        return b"".join(map(protobuf.varint, values))
    numbers = flat.astype(np.uint64) if flat.dtype.kind != "i" else _unsigned(flat)
    if int(numbers.max()) < 128:
        return numbers.astype(np.uint8).tobytes()
    lengths = np.ones(len(numbers), np.int64)
    for position in range(1, 10):
        lengths += numbers >= np.uint64(1) << np.uint64(7 * position)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    out = np.empty(int(ends[-1]), np.uint8)
    for position in range(int(lengths.max())):
        reached = lengths > position
        bits = (numbers[reached] >> np.uint64(7 * position)).astype(np.uint8) & 127
        more = lengths[reached] > position + 1
        out[starts[reached] + position] = bits | (more.astype(np.uint8) << 7)
    return out.tobytes()


def _unsigned(array: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    import numpy as np

    return array.astype(np.int64).view(np.uint64)
