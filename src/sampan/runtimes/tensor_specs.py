"""What a model of named tensors takes, and what it is given for a request. Pure but for NumPy.

The rules are those of V2 over every protocol: a name that is missing or unknown, another datatype
or shape is the caller's fault, in the same words over V1, V2 and gRPC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from sampan.protocol.datatypes import from_np_dtype, to_np_dtype
from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.json_tensors import as_datatype, make_array, select_columns

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, Any]

ANY = -1
"""A size that may be anything."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor by name, V2 datatype and shape, -1 for any size. `shape` None: of any rank."""

    name: str
    datatype: str
    shape: tuple[int, ...] | None = None
    optional: bool = False

    def metadata(self) -> dict[str, Any]:
        """Return it as V2's metadata has it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape or (ANY,))}

    def __str__(self) -> str:
        sizes = "" if self.shape is None else f" {list(self.shape)}"
        return f'"{self.name}" ({self.datatype}{sizes})'


Specs: TypeAlias = Sequence[TensorSpec]


def gather_arrays(payload: Any, specs: Specs) -> dict[str, Array]:
    """Return an array an input of a V1 or V2 payload; InvalidInput names what does not fit."""
    if isinstance(payload, InferRequest):
        given = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        if len(given) < len(payload.inputs):
            raise InvalidInput(f"an input is given twice; send each of {_named(specs)} once")
    else:
        columns = select_columns(payload, [spec.name for spec in specs])
        datatypes = {spec.name: spec.datatype for spec in specs}
        given = {
            name: as_datatype(make_array(name, column), datatypes.get(name, ""))
            for name, column in columns.items()
        }
    validate_arrays(given, specs)
    return given


def validate_arrays(given: Mapping[str, Array], specs: Specs) -> None:
    """Raise InvalidInput unless the arrays are what the specs ask for."""
    known = {spec.name for spec in specs}
    for name in given:
        if name not in known:
            raise InvalidInput(f'unknown input "{name}"; the model takes {_named(specs)}')
    for spec in specs:
        array = given.get(spec.name)
        if array is not None:
            validate_array(array, spec)
        elif not spec.optional:
            raise InvalidInput(f'input "{spec.name}" is missing; the model takes {_named(specs)}')


def validate_array(array: Array, spec: TensorSpec) -> None:
    """Raise InvalidInput unless an array has the spec's datatype and shape, and any element."""
    if not array.size and array.ndim and not array.shape[0]:
        raise InvalidInput(f'input "{spec.name}" has no rows; send at least one')
    if array.dtype != to_np_dtype(spec.datatype):
        datatype = from_np_dtype(array.dtype)
        if datatype != spec.datatype:
            raise InvalidInput(f'input "{spec.name}" has datatype {datatype}; send {spec.datatype}')
    if spec.shape is not None and not fits(array.shape, spec.shape):
        some = ", where -1 is any size" if ANY in spec.shape else ""
        raise InvalidInput(
            f'input "{spec.name}" has shape {list(array.shape)}; send {list(spec.shape)}{some}'
        )


def fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a shape is one of those that -1 leaves open."""
    return len(shape) == len(wanted) and all(
        want in (ANY, size) for size, want in zip(shape, wanted, strict=True)
    )


def select_outputs(payload: Any, specs: Specs) -> list[str]:
    """Return the outputs that are asked for, all where none is named; InvalidInput for another."""
    names = [spec.name for spec in specs]
    wanted = payload.request_outputs if isinstance(payload, InferRequest) else None
    if not wanted:
        return names
    for item in wanted:
        if item.name not in names:
            raise InvalidInput(f'unknown output "{item.name}"; the model has {_named(specs)}')
    return [item.name for item in wanted]


def make_zeros(specs: Specs, rows: int = 1) -> dict[str, Array]:
    """Return an input of zeros, or empty text, a spec: `rows` where the first size is open."""
    import numpy as np

    arrays = {}
    for spec in specs:
        sizes = [1 if size == ANY else size for size in spec.shape or (1,)]
        if spec.shape and spec.shape[0] == ANY:
            sizes[0] = rows
        empty: Any = b"" if spec.datatype == "BYTES" else 0
        arrays[spec.name] = np.full(sizes, empty, dtype=to_np_dtype(spec.datatype))
    return arrays


def _named(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(map(str, specs))
