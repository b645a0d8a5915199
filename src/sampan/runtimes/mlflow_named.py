"""Models whose signature is several tensors by name: they get a dict of arrays, as in MLflow."""

from __future__ import annotations

from typing import Any

from sampan.protocol.datatypes import from_np_dtype
from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.mlflow_document import Column


def make_tensor(spec: Column, value: Any) -> Any:
    """Return an array of the signature's dtype and shape; InvalidInput names the tensor."""
    import numpy as np

    name = spec.field.name
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f'"{name}" is no tensor: {error}') from None
    return validate_tensor(spec, array, name)


def validate_tensor(spec: Column, array: Any, name: str) -> Any:
    """Return an array cast to the signature's dtype; InvalidInput where it does not fit."""
    import numpy as np

    given, wanted = tuple(array.shape), spec.shape
    fits = len(given) == len(wanted) and all(
        w in {-1, g} for w, g in zip(wanted, given, strict=True)
    )
    if not fits:
        raise InvalidInput(
            f'"{name}" has shape {list(given)} and the signature\'s is {list(wanted)}; send '
            "that, -1 being any size"
        )
    if not array.size:
        raise InvalidInput(f'"{name}" has no rows; send at least one')
    dtype = np.dtype(spec.dtype)
    if array.dtype != dtype and not np.can_cast(array.dtype, dtype, "same_kind"):
        raise InvalidInput(
            f'"{name}" holds {from_np_dtype(array.dtype) or array.dtype} and the signature '
            f"says {spec.datatype}; send that"
        )
    return array.astype(dtype, copy=False)


class NamedReader:
    """Reads `inputs` by name, `instances` of objects, or V2's tensors."""

    def __init__(self, inputs: tuple[Column, ...]) -> None:
        self._inputs = inputs

    def read(self, payload: Any) -> dict[str, Any]:
        """Return an array a tensor; InvalidInput names what is missing or does not fit."""
        given = self._given(payload)
        missing = [
            c.field.name for c in self._inputs if c.field.required and c.field.name not in given
        ]
        if missing:
            names = ", ".join(f'"{column.field.name}"' for column in self._inputs)
            raise InvalidInput(f'the request lacks the tensor "{missing[0]}"; send {names}')
        return {
            c.field.name: make_tensor(c, given[c.field.name])
            for c in self._inputs
            if c.field.name in given
        }

    def _given(self, payload: Any) -> dict[str, Any]:
        if isinstance(payload, InferRequest):
            return {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        value = payload.get("inputs", payload.get("instances"))
        if isinstance(value, dict):
            return value
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            names = ", ".join(f'"{column.field.name}"' for column in self._inputs)
            raise InvalidInput(f'the model takes several tensors; send "inputs" with {names}')
        return {name: [row.get(name) for row in value] for name in (value[0] if value else ())}

    def flatten(self, payload: Any) -> Any:
        """Return the payload: names are kept to its reading."""
        return payload

    def zeros(self) -> dict[str, Any]:
        """Return zeros, one of each size that is free."""
        import numpy as np

        return {
            c.field.name: np.zeros([max(size, 1) for size in c.shape], c.dtype)
            for c in self._inputs
        }

    def describe(self) -> list[dict[str, Any]]:
        """Return the tensors for metadata."""
        return [
            {"name": c.field.name, "datatype": c.datatype, "shape": list(c.shape)}
            for c in self._inputs
        ]
