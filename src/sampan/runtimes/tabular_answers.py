"""From columns of answers to what is sent: V1 a list of objects, V2 a tensor a column. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.protocol.datatypes import from_np_dtype
from sampan.protocol.tensors import InferOutput, InferRequest, InferResponse
from sampan.server.response_ids import make_response_id


def make_answer(payload: Any, columns: Mapping[str, list[Any]], model_name: str) -> Any:
    """Return the answer to a payload. What is None is null in V1; in V2 NaN, or an empty text."""
    if not isinstance(payload, InferRequest):
        names = list(columns)
        rows = zip(*columns.values(), strict=True)
        return {"predictions": [dict(zip(names, row, strict=True)) for row in rows]}
    return InferResponse(
        payload.id or make_response_id(),
        model_name,
        [make_output(name, values) for name, values in columns.items()],
        use_binary_outputs=payload.use_binary_outputs,
        requested_outputs=payload.request_outputs,
    )


def make_output(name: str, values: list[Any]) -> InferOutput:
    """Return the tensor of a column, of the datatype that holds all its values."""
    import numpy as np

    if any(isinstance(value, str) for value in values):
        texts = ["" if value is None else str(value) for value in values]
        array = np.array(texts, dtype=object)
    elif None in values:
        array = np.array([np.nan if value is None else value for value in values], dtype="f8")
    else:
        array = np.array(values)
    output = InferOutput(name, list(array.shape), from_np_dtype(array.dtype) or "BYTES")
    output.set_array(array)
    return output
