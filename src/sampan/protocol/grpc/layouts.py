"""Requests that look alike: clients send the same message again, with another id and other numbers.

A layout is what the walk over one ModelInferRequest found out. A message of the same length that
has the same bytes everywhere but in the id and in the contents has the same fields at the same
places (lengths and tags are among the bytes compared), so it need not be walked. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

from sampan.protocol.datatypes import to_np_dtype
from sampan.protocol.grpc import protobuf
from sampan.protocol.tensors import InferInput, InferRequest, RequestedOutput

Place: TypeAlias = "tuple[int, int]"
"""Where something lies in a message: from, up to."""

_MOST_BYTES = 1024  # compared and kept of a message; ids and contents do not count
_LENGTHS = 128
_ALIKE = 4  # layouts of one length: models whose names are equally long, say
_LEARN_EACH = 16  # of the messages that none of as many layouts fits: each may never come again
_PACKED = {"FP32": 6 << 3 | protobuf.LENGTH, "FP64": 7 << 3 | protobuf.LENGTH}
_NO_PLACE = (0, 0)


@dataclass(slots=True)
class Places:
    """Where the parts of a message lie: its id, raw contents, and each input's typed ones."""

    id: Place = _NO_PLACE
    raw: list[Place] = field(default_factory=list)
    contents: list[list[Place]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Numbers:
    """An input whose contents are numbers of a fixed size that fill its shape."""

    dtype: Any
    count: int
    start: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """What is the same in messages that look alike.

    `numbers` says where the contents of all inputs lie, where they are known to fit.
    """

    literals: tuple[tuple[int, int, bytes], ...]
    request: InferRequest
    places: Places
    numbers: tuple[Numbers, ...] | None

    def fits(self, data: bytes) -> bool:
        """Whether a message of the same length looks like this."""
        for start, stop, literal in self.literals:  # noqa: SIM110  # `all` costs a generator
            if data[start:stop] != literal:
                return False
        return True

    def make_request(self, data: bytes) -> InferRequest:
        """Return the request of a message that fits, without its contents."""
        known = self.request
        request = InferRequest(
            known.model_name,
            [
                InferInput(
                    one.name,
                    one.shape.copy(),
                    one.datatype,
                    None,
                    one.parameters.copy() if one.parameters else None,
                )
                for one in known.inputs
            ],
            model_version=known.model_version,
        )
        at, end = self.places.id
        if end:
            request.id = protobuf.text(data, at, end) or None
        if known.parameters:
            request.parameters = known.parameters.copy()
        if known.request_outputs:
            request.request_outputs = [
                RequestedOutput(one.name, one.parameters.copy() if one.parameters else None)
                for one in known.request_outputs
            ]
        return request


class Layouts:
    """The layouts that one server has met lately. Used on one thread."""

    def __init__(self) -> None:
        self._by_length: dict[int, list[Layout]] = {}
        self._strangers = 0

    def find(self, data: bytes) -> Layout | None:
        """Return the layout that a message has, None where it is to be walked."""
        for layout in self._by_length.get(len(data), ()):
            if layout.fits(data):
                return layout
        return None

    def learn(self, data: bytes, request: InferRequest, places: Places) -> None:
        """Take what the walk over a message found out, before its contents are filled in."""
        known = self._by_length.get(len(data), [])
        if len(known) >= _ALIKE:
            self._strangers += 1
            if self._strangers % _LEARN_EACH:
                return
        layout = make_layout(data, request, places)
        if layout is None:
            return
        if len(self._by_length) >= _LENGTHS:
            self._by_length.clear()
        self._by_length[len(data)] = [layout, *known[: _ALIKE - 1]]


def make_layout(data: bytes, request: InferRequest, places: Places) -> Layout | None:
    """Return the layout of a message that has been walked; None where too much is its own."""
    numbers = _find_numbers(data, request.inputs, places)
    holes = list(places.raw)
    if numbers is not None:
        holes = [(one.start, one.start + one.count * one.dtype.itemsize) for one in numbers]
    else:
        holes += [place for each in places.contents for place in each]
    if places.id != _NO_PLACE:
        holes.append(places.id)
    literals: list[tuple[int, int, bytes]] = []
    at = 0
    for start, stop in sorted(holes):
        literals.append((at, start, data[at:start]))
        at = stop
    literals.append((at, len(data), data[at:]))
    if sum(len(literal) for _, _, literal in literals) > _MOST_BYTES:
        return None
    own = Layout(tuple(literals), request, places, numbers).make_request(
        data
    )  # the caller's may change
    return Layout(tuple(literals), own, places, numbers)


def _find_numbers(
    data: bytes, inputs: list[InferInput], places: Places
) -> tuple[Numbers, ...] | None:
    """Return where the contents of all inputs lie, None where that takes more than a look."""
    if places.raw:
        if len(places.raw) != len(inputs) or any(places.contents):
            return None
        spans = places.raw
    else:
        spans = [_packed(data, one.datatype, at) for one, at in zip(inputs, places.contents)]  # noqa: B905  # walked together
    found = [_fit(one, span) for one, span in zip(inputs, spans)]  # noqa: B905  # as many
    return None if None in found else tuple(one for one in found if one is not None)


def _packed(data: bytes, datatype: str, places: list[Place]) -> Place:
    """Return where the floats of a contents message lie that holds nothing else."""
    tag = _PACKED.get(datatype)
    if tag is None or len(places) != 1:
        return _NO_PLACE
    begin, end = places[0]
    if end - begin < 2 or data[begin] != tag:
        return _NO_PLACE
    size, start = protobuf.read_varint(data, begin + 1, end)
    return (start, end) if start + size == end else _NO_PLACE


def _fit(tensor: InferInput, place: Place) -> Numbers | None:
    """Return the contents of an input as numbers, None where they are none or do not fit."""
    dtype = to_np_dtype(tensor.datatype)
    if dtype is None or dtype.hasobject or place == _NO_PLACE or not tensor.shape:
        return None
    start, stop = place
    count = prod(tensor.shape)
    if min(tensor.shape) < 1 or count * dtype.itemsize != stop - start:
        return None
    return Numbers(dtype.newbyteorder("<"), count, start, tuple(tensor.shape))
