"""The generate extension of V2: plain JSON fields in, plain JSON fields out.

Every field but `id` and `parameters` is an input of that name, with the datatype that its JSON type
has; every output is a field of the answer. Source: the generate extension of Triton's HTTP API.
"""

from __future__ import annotations

from typing import Any

import orjson

from sampan.protocol import json_out
from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest, InferResponse

_SHAPE = 'Expected a JSON object like {"text_input": "...", "parameters": {...}}'


def decode(body: bytes, model_name: str) -> InferRequest:
    """Return the request; InvalidInput where the body is no object of plain fields."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"Unrecognized request format: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInput(_SHAPE)
    request_id, parameters = value.pop("id", None), value.pop("parameters", None)
    if request_id is not None and not isinstance(request_id, str):
        raise InvalidInput(f"'id' is {orjson.dumps(request_id).decode()}; send a string")
    if parameters is not None and not isinstance(parameters, dict):
        raise InvalidInput("'parameters' is no object; send names with values")
    for name, item in (parameters or {}).items():
        if not isinstance(item, str | int | float):
            raise InvalidInput(f"parameter '{name}' is no string, number or boolean")
    if not value:
        raise InvalidInput(_SHAPE)
    inputs = [_input(name, item) for name, item in value.items()]
    return InferRequest(model_name, inputs, request_id, parameters=parameters)


def _input(name: str, value: Any) -> InferInput:
    data = value if isinstance(value, list) else [value]
    if not data:
        return InferInput(name, [0], "BYTES", [])
    for kinds, datatype in (
        ((str,), "BYTES"),
        ((bool,), "BOOL"),
        ((int,), "INT64"),
        ((int, float), "FP64"),
    ):
        if all(type(item) in kinds for item in data):
            tensor = InferInput(name, [len(data)], datatype, data)
            tensor.as_numpy()  # a number beyond 64 bits is the caller's fault, said here
            return tensor
    raise InvalidInput(
        f"field '{name}' is neither a string, a number, a boolean nor a list of one of these"
    )


def encode(result: Any, model_name: str) -> bytes:
    """Return one answer, or one part of a streamed one: text, an object, or an InferResponse."""
    if isinstance(result, bytes):
        result = result.decode("utf-8", "replace")
    if isinstance(result, str):
        result = {"text_output": result}
    elif isinstance(result, InferResponse):
        result = _fields(result)
    elif not isinstance(result, dict):
        raise TypeError(
            f'the model answers generate with "{type(result).__name__}"; '
            "return text, a dict or an InferResponse"
        )
    return json_out.dumps({"model_name": model_name, "model_version": None, **result})


def _fields(response: InferResponse) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": response.id} if response.id else {}
    for output in response.outputs:
        data = [_plain(item) for item in output.data or []]
        fields[output.name] = data[0] if len(data) == 1 else data
    return fields


def _plain(item: Any) -> Any:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else item
