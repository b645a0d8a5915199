"""Typed tensor contents (InferTensorContents) to raw contents and back.

Floats lie packed in the message exactly as raw contents would, so they stay views of it.
"""

from __future__ import annotations

from typing import Any

from sampan.protocol.datatypes import to_np_dtype
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import protobuf, varints

_FIELDS = {
    "BOOL": 1,
    "INT8": 2,
    "INT16": 2,
    "INT32": 2,
    "INT64": 3,
    "UINT8": 4,
    "UINT16": 4,
    "UINT32": 4,
    "UINT64": 5,
    "FP32": 6,
    "FP64": 7,
    "BYTES": 8,
}
_NAMES = {
    1: "bool_contents",
    2: "int_contents",
    3: "int64_contents",
    4: "uint_contents",
    5: "uint64_contents",
    6: "fp32_contents",
    7: "fp64_contents",
    8: "bytes_contents",
}
_SINGLE = {6: protobuf.FIXED32, 7: protobuf.FIXED64}  # how one unpacked number is coded


def has_typed_form(datatype: str) -> bool:
    """Whether contents of this datatype can be sent typed; FP16 and BF16 are raw always."""
    return datatype in _FIELDS


def decode_elements(name: str, data: bytes, places: list[tuple[int, int]]) -> list[bytes]:
    """Return the elements of a BYTES input."""
    return [data[start:stop] for _, start, stop in _parts(name, "BYTES", data, places)]


def decode_raw(name: str, datatype: str, data: bytes, places: list[tuple[int, int]]) -> memoryview:
    """Return the numbers of an input as raw contents; InvalidInput where they are not of its type.

    `places` are where the contents messages lie: proto3 lets a message come in parts.
    """
    pieces = [_piece(name, datatype, data, part) for part in _parts(name, datatype, data, places)]
    return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))


def _parts(
    name: str, datatype: str, data: bytes, places: list[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    wanted = _FIELDS.get(datatype)
    if wanted is None:
        raise InvalidInput(
            f"input '{name}' has datatype {datatype}, which has no typed contents; "
            "send raw_input_contents"
        )
    parts: list[tuple[int, int, int]] = []
    for begin, end in places:
        for part in protobuf.fields(data, begin, end):
            number = part[0] >> 3
            if number == wanted:
                parts.append(part)
            elif number in _NAMES:
                raise InvalidInput(
                    f"input '{name}' has datatype {datatype} and {_NAMES[number]}; "
                    f"send {_NAMES[wanted]}"
                )
    return parts


def _piece(name: str, datatype: str, data: bytes, part: tuple[int, int, int]) -> memoryview:
    """Return one packed run of numbers, or one number that was sent by itself."""
    tag, start, stop = part
    field, wire_type = tag >> 3, tag & 7
    packed = wire_type == protobuf.LENGTH
    if field in _SINGLE:
        if not packed and wire_type != _SINGLE[field]:
            raise _miscoded(name, field, wire_type)
        return memoryview(data)[start:stop]
    if not packed and wire_type != protobuf.VARINT:
        raise _miscoded(name, field, wire_type)
    return _whole_numbers(name, datatype, data, (start, stop) if packed else start)


def _whole_numbers(
    name: str, datatype: str, data: bytes, place: tuple[int, int] | int
) -> memoryview:
    import numpy as np

    if isinstance(place, int):
        numbers = np.array([place], np.uint64)
    else:
        numbers = varints.decode(data, *place)
    dtype = to_np_dtype(datatype)
    if dtype is None:
        raise InvalidInput(f"input '{name}' has datatype {datatype}, which is not known")
    if datatype == "BOOL":
        return memoryview((numbers != 0).tobytes())
    wide: Any = numbers.view(np.int64) if dtype.kind == "i" else numbers
    if wide.size:
        limits = np.iinfo(dtype)
        low, high = int(wide.min()), int(wide.max())
        if low < limits.min or high > limits.max:
            wrong = low if low < limits.min else high
            raise InvalidInput(
                f"input '{name}' holds {wrong}, which is no {datatype}; "
                f"send {limits.min} to {limits.max}"
            )
    narrow = wide.astype(dtype.newbyteorder("<"), copy=False)
    return memoryview(narrow.tobytes())


def _miscoded(name: str, field: int, wire_type: int) -> InvalidInput:
    return InvalidInput(f"{_NAMES[field]} of input '{name}' have wire type {wire_type}")


def encode(datatype: str, array: Any) -> bytes:
    """Return an output's contents message."""
    field = _FIELDS[datatype]
    if field == 8:
        return b"".join(
            protobuf.delimited(8, item if isinstance(item, bytes) else str(item).encode())
            for item in array.ravel()
        )
    if field in _SINGLE:
        payload = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    else:
        payload = varints.encode(array)
    return protobuf.delimited(field, payload) if payload else b""
