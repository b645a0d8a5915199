"""BYTES tensors in raw form: each element is a little-endian uint32 length and its bytes.

Source: the binary tensor data extension of KServe V2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from sampan.protocol.errors import InvalidInput

_LENGTH = struct.Struct("<I")


def serialize_byte_tensor(elements: Iterable[bytes | str]) -> bytes:
    """Return the elements, in row-major order, as raw tensor contents."""
    parts: list[bytes] = []
    for element in elements:
        raw = element.encode() if isinstance(element, str) else bytes(element)
        parts.append(_LENGTH.pack(len(raw)))
        parts.append(raw)
    return b"".join(parts)


def deserialize_bytes_tensor(raw: bytes | memoryview) -> list[bytes]:
    """Return the elements of raw tensor contents; InvalidInput where they are cut short."""
    elements: list[bytes] = []
    offset, end = 0, len(raw)
    while offset < end:
        start = offset + _LENGTH.size
        if start > end:
            raise InvalidInput(f"BYTES tensor ends inside the length of element {len(elements)}")
        offset = start + _LENGTH.unpack_from(raw, offset)[0]
        if offset > end:
            raise InvalidInput(
                f"element {len(elements)} of a BYTES tensor needs {offset - start} bytes, "
                f"{end - start} are left; send each element as uint32 length and bytes"
            )
        elements.append(bytes(raw[start:offset]))
    return elements
