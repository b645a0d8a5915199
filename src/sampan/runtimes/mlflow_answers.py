"""From what an MLflow model returns to V1 and V2: arrays, DataFrames, Series, lists. Pure."""

from __future__ import annotations

from typing import Any

from sampan.protocol.datatypes import from_np_dtype
from sampan.protocol.errors import InferenceError
from sampan.protocol.tensors import InferOutput, InferRequest, InferResponse
from sampan.runtimes.mlflow_document import Document
from sampan.server.response_ids import make_response_id

OUTPUT = "output-1"
"""The name of a nameless output, as MLServer's MLflow runtime has it."""


def make_answer(payload: Any, result: Any, model_name: str) -> Any:
    """Return `{"predictions": ...}`, or an InferResponse with a tensor an output."""
    if not isinstance(payload, InferRequest):
        return {"predictions": _listed(result)}
    outputs = [_output(name, array) for name, array in make_arrays(result).items()]
    return InferResponse(
        payload.id or make_response_id(),
        model_name,
        outputs,
        use_binary_outputs=payload.use_binary_outputs,
        requested_outputs=payload.request_outputs,
    )


def make_arrays(result: Any) -> dict[str, Any]:
    """Return the arrays of a result by name: a column each, or one."""
    import numpy as np

    if hasattr(result, "columns"):
        return {str(name): result[name].to_numpy() for name in result.columns}
    if isinstance(result, dict):
        return {str(name): np.asarray(value) for name, value in result.items()}
    return {OUTPUT: np.asarray(result)}


def make_output_types(document: Document, observed: Any) -> list[dict[str, Any]]:
    """Return the outputs for metadata: what was observed of a row of zeros, else the signature's.

    What was observed comes first, for it is what is sent.
    """
    if observed is not None:
        return [
            {
                "name": name,
                "datatype": from_np_dtype(array.dtype) or "BYTES",
                "shape": [-1, *array.shape[1:]],
            }
            for name, array in make_arrays(observed).items()
        ]
    return [
        {"name": c.field.name, "datatype": c.datatype, "shape": list(c.shape) or [-1]}
        for c in document.outputs
    ]


def _listed(result: Any) -> Any:
    """Return a result as JSON has it: rows of a DataFrame as objects (MLflow's "records")."""
    if hasattr(result, "to_dict") and hasattr(result, "columns"):
        return result.to_dict(orient="records")
    return result.to_numpy() if hasattr(result, "to_numpy") else result


def _output(name: str, array: Any) -> InferOutput:
    datatype = from_np_dtype(array.dtype)
    if datatype is None:
        raise InferenceError(
            f'the model answers with "{array.dtype}", which V2 has no datatype for; log a model '
            "that answers with numbers or text"
        )
    output = InferOutput(name, list(array.shape), datatype)
    output.set_data_from_numpy(array)
    return output
