"""The rows that the bodies of a graph hold, each body read once for all steps that are given it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import orjson

from sampan.protocol import media, v2
from sampan.protocol.errors import ServingError
from sampan.protocol.tensors import InferRequest
from sampan.router.body import Body, Carried
from sampan.server.batching import Part, make_part
from sampan.server.graph_values import read_request, read_rows

Read: TypeAlias = Callable[[Body], Part | None]

_KEPT = 128  # bodies, of 32 KiB at most: of more requests at once some are read for each step
_NUMBERS = frozenset("biuf")  # NumPy's kinds


class Decoded:
    """What bodies hold, read by a protocol.

    A body is known by being that object, not by its contents: equal ones may be large to compare,
    and each request pays for its own.
    """

    __slots__ = ("_parts", "_read")

    def __init__(self, read: Read) -> None:
        self._read = read
        self._parts: dict[int, tuple[Body, Part | None]] = {}

    def rows(self, body: Body) -> Part | None:
        """Return the rows of numbers that a body holds; None for anything else."""
        found = self._parts.get(id(body))
        if found is not None and found[0] is body:
            return found[1]
        if len(self._parts) >= _KEPT:
            self._parts.clear()
        part = self._read(body)
        self._parts[id(body)] = body, part
        return part


def read_v1(body: Body) -> Part | None:
    """Return the instances of a V1 request that are numbers."""
    if isinstance(body, Carried):
        array = read_rows(body.value)
        if array is None:
            return None
        return Part((array.dtype.char, array.shape[1:]), len(array), body.value, array)
    try:
        part = make_part(orjson.loads(body))
    except ValueError:
        return None
    return None if part is None or part.array is None else part


def read_v2(body: Body) -> Part | None:
    """Return the tensors of a V2 request that are numbers."""
    try:
        request = _read_tensors(body)
        kinds = {tensor.as_numpy().dtype.kind for tensor in request.inputs}
    except ServingError:
        return None
    return make_part(request) if kinds <= _NUMBERS else None


def _read_tensors(body: Body) -> InferRequest:
    """Return the request, of no model yet; it is one that any may be asked."""
    handed = read_request(body.value, "") if isinstance(body, Carried) else None
    if handed is not None:
        return handed
    text = body.text() if isinstance(body, Carried) else body
    return v2.decode(text, media.JSON, None, "")
