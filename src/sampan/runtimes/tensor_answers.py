"""From a model's named arrays to the answer that its payload asks for: V1 or V2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sampan.protocol.datatypes import from_np_dtype
from sampan.protocol.errors import InferenceError
from sampan.protocol.json_out import json_ready
from sampan.protocol.tensors import InferOutput, InferRequest, InferResponse
from sampan.server.response_ids import make_response_id

if TYPE_CHECKING:
    import numpy as np


def make_answer(
    payload: Any,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    model_name: str,
    version: str | None = None,
) -> Any:
    """Return `{"predictions": ...}` for V1, an InferResponse for V2.

    V1: the rows of the one output, or of several an object a row.
    """
    if isinstance(payload, InferRequest):
        return InferResponse(
            payload.id or make_response_id(),
            model_name,
            [make_output(name, array) for name, array in arrays.items()],
            model_version=version,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )
    return {"predictions": make_predictions(arrays)}


def make_predictions(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """Return V1's predictions: an array, a list of objects, or an object of unlike sizes."""
    if len(arrays) == 1:
        return json_ready(next(iter(arrays.values())))
    ready = {name: json_ready(array) for name, array in arrays.items()}
    sizes = {array.shape[0] if array.ndim else -1 for array in arrays.values()}
    if len(sizes) > 1 or -1 in sizes:
        return ready
    names = tuple(ready)
    return [dict(zip(names, values, strict=True)) for values in zip(*ready.values(), strict=True)]


def make_output(name: str, array: np.ndarray[Any, Any]) -> InferOutput:
    """Return an output tensor; InferenceError for an array that V2 has no datatype for."""
    datatype = from_np_dtype(array.dtype)
    if datatype is None:
        raise InferenceError(
            f'output "{name}" is of "{array.dtype}", which V2 has no datatype for; '
            "convert it in the model"
        )
    output = InferOutput(name, list(array.shape), datatype)
    output.set_array(array)
    return output
