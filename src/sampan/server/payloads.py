"""From payloads to what tabular models take, and back. Names and rules are KServe's helpers'."""

from __future__ import annotations

from typing import Any

from sampan.protocol.datatypes import from_np_dtype
from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.json_out import json_ready
from sampan.protocol.tensors import InferOutput, InferRequest, InferResponse
from sampan.server.response_ids import make_response_id


def get_predict_input(payload: Any, columns: list[str] | None = None) -> Any:
    """Return an ndarray, a list of str, or a DataFrame; InvalidInput for what is none of them.

    V1: `inputs`, else `instances`; objects (or lists of objects) become DataFrame rows. V2: the
    first input, or with `content_type: "pd"` a DataFrame with one column an input.
    """
    if isinstance(payload, InferRequest):
        return _from_tensors(payload)
    if isinstance(payload, bytes):
        raise InvalidInput(
            "this model takes JSON or tensors; send content-type application/json with "
            '{"instances": [...]}'
        )
    if not isinstance(payload, dict) or not ("inputs" in payload or "instances" in payload):
        raise InvalidInput('Expected a JSON object with "instances" or "inputs"')
    key = "inputs" if "inputs" in payload else "instances"
    instances = payload[key]
    if key == "inputs" and isinstance(instances, dict):
        instances = [instances]
    if hasattr(instances, "dtype"):  # a batch: joined as an array already
        return instances
    if not isinstance(instances, list):
        raise InvalidInput(f'Expected "{key}" to be a list')
    return _from_instances(instances, columns)


def _from_instances(instances: list[Any], columns: list[str] | None) -> Any:
    import numpy as np

    first = instances[0] if instances else None
    if isinstance(first, dict) or (
        isinstance(first, list) and first and isinstance(first[0], dict)
    ):
        return _frame(instances, columns)
    if isinstance(first, str):
        return instances
    try:
        return np.array(instances)
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(str(error)) from None


def _frame(instances: list[Any], columns: list[str] | None) -> Any:
    """Return the rows as a DataFrame. An object of plain values is one row."""
    try:
        import pandas as pd  # type: ignore[import-untyped]  # optional
    except ImportError:
        raise InvalidInput(
            "instances that are objects need pandas in the environment of the model; "
            "add it to the requirements or send lists of values"
        ) from None
    try:
        frames = []
        for instance in instances:
            plain = isinstance(instance, dict) and not any(
                isinstance(value, (list, dict)) for value in instance.values()
            )
            frames.append(pd.DataFrame([instance] if plain else instance, columns=columns))
        return pd.concat(frames, axis=0)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(str(error)) from None


def _from_tensors(request: InferRequest) -> Any:
    if (request.parameters or {}).get("content_type") == "pd":
        return request.as_dataframe()
    if not request.inputs:
        raise InvalidInput('Expected "inputs" to hold at least one tensor')
    tensor = request.inputs[0]
    if tensor.datatype == "BYTES":
        data = tensor.data
        if data and isinstance(data[0], str):
            return data
    return tensor.as_numpy()


def get_predict_response(payload: Any, result: Any, model_name: str) -> Any:
    """Return `{"predictions": ...}` for V1, an InferResponse with `output-0` for V2."""
    if not isinstance(payload, InferRequest):
        return {"predictions": _json_result(result)}
    return InferResponse(
        payload.id or make_response_id(),
        model_name,
        _outputs(result),
        use_binary_outputs=payload.use_binary_outputs,
        requested_outputs=payload.request_outputs,
    )


def _json_result(result: Any) -> Any:
    import numpy as np

    if isinstance(result, np.ndarray):
        return json_ready(result)
    if hasattr(result, "to_dict"):
        return result.to_dict(orient="records")
    return result


def _outputs(result: Any) -> list[InferOutput]:
    import numpy as np

    if hasattr(result, "columns"):
        return [_output(str(name), result[name].to_numpy()) for name in result.columns]
    return [_output("output-0", np.asarray(result))]


def _output(name: str, array: Any) -> InferOutput:
    datatype = from_np_dtype(array.dtype)
    if datatype is None:
        raise InferenceError(
            f'the model answers with "{array.dtype}", which V2 has no datatype for; '
            "convert it in postprocess"
        )
    output = InferOutput(name, list(array.shape), datatype)
    output.set_data_from_numpy(array)
    return output
