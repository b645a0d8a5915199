"""The tensors of a fitted estimator, for metadata: found by predicting a row of zeros.

What an estimator answers depends on more than it tells of itself (a regressor's precision, the
labels of a clustering, several outputs), so it is asked once. One that takes no numbers, text
vectorizers and mixed columns, has no one tensor to describe, and tells nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

Tensors: TypeAlias = "list[dict[str, Any]]"


class Types(NamedTuple):
    """Input and output tensors: name, datatype, shape, -1 for the number of rows."""

    inputs: Tensors
    outputs: Tensors


UNKNOWN = Types([], [])


def observe_types(predict: Callable[[Any], Any], width: int, datatype: str = "FP64") -> Types:
    """Predict a row of zeros of this width; UNKNOWN where that does not work."""
    import numpy as np

    if not width:
        return UNKNOWN
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of feature names, which a row of zeros has not
            result = predict(np.zeros((1, width)))
    except Exception:  # noqa: BLE001  # it takes something else than numbers
        return UNKNOWN
    outputs = make_outputs(result)
    return Types([_tensor("input-0", datatype, (-1, width))], outputs) if outputs else UNKNOWN


def make_outputs(result: Any) -> Tensors:
    """Return the output tensor of one row's result, as `get_predict_response` will name it."""
    from sampan.protocol.datatypes import from_np_dtype

    datatype = from_np_dtype(result.dtype) if hasattr(result, "dtype") else None
    if datatype is None or not result.ndim:
        return []
    return [_tensor("output-0", datatype, (-1, *result.shape[1:]))]


def _tensor(name: str, datatype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}
