"""TensorFlow's TensorProto straight between bytes and arrays (`tensor.proto`).

Contents come packed as `tensor_content`, or typed: a list shorter than the tensor repeats its last
value to the end, an empty one is zeros. They go out typed, as TensorFlow Serving sends them.
"""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import protobuf, varints
from sampan.protocol.grpc.protobuf import delimited, fields, signed, varint

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, Any]


class Kind(NamedTuple):
    """A DataType: its number, the NumPy dtype, and the field of its typed contents."""

    number: int
    dtype: str
    field: int


KINDS = {
    "DT_FLOAT": Kind(1, "float32", 5),
    "DT_DOUBLE": Kind(2, "float64", 6),
    "DT_INT32": Kind(3, "int32", 7),
    "DT_UINT8": Kind(4, "uint8", 7),
    "DT_INT16": Kind(5, "int16", 7),
    "DT_INT8": Kind(6, "int8", 7),
    "DT_STRING": Kind(7, "object", 8),
    "DT_INT64": Kind(9, "int64", 10),
    "DT_BOOL": Kind(10, "bool", 11),
    "DT_UINT16": Kind(17, "uint16", 7),
    "DT_HALF": Kind(19, "float16", 13),
    "DT_UINT32": Kind(22, "uint32", 16),
    "DT_UINT64": Kind(23, "uint64", 17),
}
_BY_NUMBER = {kind.number: kind for kind in KINDS.values()}
_BY_DTYPE = {kind.dtype: kind for kind in KINDS.values()}
NAMES = {kind.number: name for name, kind in KINDS.items()}
_DTYPE, _SHAPE, _CONTENT = 1 << 3, 2 << 3 | protobuf.LENGTH, 4 << 3 | protobuf.LENGTH
_FLOATS = {"float32", "float64"}
_MOST_ELEMENTS = 2**28
"""Elements that a list of one value may stand for: a message of bytes must not fill the memory."""


def decode(name: str, data: bytes, at: int, end: int) -> Array:
    """Return the array of a TensorProto between two offsets; InvalidInput names the input."""
    number, shape = 0, tuple[int, ...]()
    content: tuple[int, int] | None = None
    typed: list[tuple[int, int, int]] = []
    for tag, start, stop in fields(data, at, end):
        if tag == _DTYPE:
            number = start
        elif tag == _SHAPE:
            shape = _decode_shape(name, data, start, stop)
        elif tag == _CONTENT:
            content = (start, stop)
        else:
            typed.append((tag, start, stop))
    kind = _BY_NUMBER.get(number)
    if kind is None:
        raise InvalidInput(
            f'input "{name}" has dtype {number}, which is not served; send one of '
            + ", ".join(KINDS)
        )
    if content is not None and content[1] > content[0]:
        return _unpack(name, kind, data[content[0] : content[1]], shape)
    return _fill(name, _decode_typed(kind, data, typed), shape)


def _decode_shape(name: str, data: bytes, at: int, end: int) -> tuple[int, ...]:
    sizes = []
    for tag, start, stop in fields(data, at, end):
        if tag >> 3 == 2:
            size = 0
            for inner, value, _ in fields(data, start, stop):
                if inner == 1 << 3:
                    size = signed(value)
            if size < 0:
                raise InvalidInput(f'input "{name}" has a size of {size}; send its real shape')
            sizes.append(size)
        elif start:
            raise InvalidInput(f'input "{name}" has a shape of unknown rank; send its real shape')
    return tuple(sizes)


def _unpack(name: str, kind: Kind, content: bytes, shape: tuple[int, ...]) -> Array:
    import numpy as np

    if kind.dtype == "object":
        raise InvalidInput(f'input "{name}" is text in tensor_content; send string_val')
    dtype = np.dtype(kind.dtype).newbyteorder("<")
    if prod(shape) * dtype.itemsize != len(content):
        raise InvalidInput(
            f'input "{name}" has {len(content)} bytes of contents, and its shape {list(shape)} '
            f"takes {prod(shape) * dtype.itemsize}; send both alike"
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _decode_typed(kind: Kind, data: bytes, parts: list[tuple[int, int, int]]) -> Any:
    """Return the flat values of the kind's own field."""
    import numpy as np

    mine = [part for part in parts if part[0] >> 3 == kind.field]
    if kind.dtype == "object":
        texts = np.empty(len(mine), dtype=object)
        texts[:] = [data[start:stop] for _, start, stop in mine]
        return texts
    pieces = [_numbers(kind, data, part) for part in mine]
    dtype = np.dtype(kind.dtype)
    if not pieces:
        return np.empty(0, dtype)
    flat = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    if kind.dtype in _FLOATS:
        return flat
    if kind.dtype == "float16":
        return flat.astype(np.uint16).view(np.float16)
    if dtype.kind == "b":
        return flat != 0
    return (flat.view(np.int64) if dtype.kind == "i" else flat).astype(dtype)


def _numbers(kind: Kind, data: bytes, part: tuple[int, int, int]) -> Any:
    import numpy as np

    tag, start, stop = part
    if kind.dtype in _FLOATS:
        dtype = np.dtype(kind.dtype).newbyteorder("<")
        return np.frombuffer(data, dtype, (stop - start) // dtype.itemsize, start)
    if tag & 7 == protobuf.LENGTH:
        return varints.decode(data, start, stop)
    return np.array([start], np.uint64)


def _fill(name: str, flat: Array, shape: tuple[int, ...]) -> Array:
    """Return values in their shape; TensorFlow repeats the last of a short list."""
    import numpy as np

    count = prod(shape)
    if len(flat) == count:
        return flat.reshape(shape)
    if len(flat) > count or count > _MOST_ELEMENTS:
        raise InvalidInput(
            f'input "{name}" has {len(flat)} values, and its shape {list(shape)} takes {count}; '
            "send both alike"
        )
    full = np.empty(count, flat.dtype)
    full[: len(flat)] = flat
    full[len(flat) :] = flat[-1] if len(flat) else (b"" if flat.dtype == object else 0)
    return full.reshape(shape)


def encode(array: Array) -> bytes:
    """Return an array as a TensorProto with typed contents."""
    kind = _BY_DTYPE[array.dtype.name]
    sizes = (delimited(2, varint(1 << 3) + varint(size) if size else b"") for size in array.shape)
    head = varint(_DTYPE) + varint(kind.number) + delimited(2, b"".join(sizes))
    if kind.dtype == "object":
        texts = (item if isinstance(item, bytes) else str(item).encode() for item in array.ravel())
        return head + b"".join(delimited(kind.field, text) for text in texts)
    if not array.size:
        return head
    if kind.dtype in _FLOATS:
        return head + delimited(kind.field, array.astype(array.dtype.newbyteorder("<")).tobytes())
    if kind.dtype == "float16":
        array = array.view("uint16")
    return head + delimited(kind.field, varints.encode(array))


def encode_float(number: int, value: float) -> bytes:
    """Return a field of one float."""
    return varint(number << 3 | protobuf.FIXED32) + struct.pack("<f", value)
