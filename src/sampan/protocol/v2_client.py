"""KServe V2 over REST from the client's side: requests out, responses in. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from sampan.protocol import json_out, v2
from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.tensors import InferInput, InferOutput, InferRequest, InferResponse


def request_form(request: InferRequest) -> tuple[dict[str, Any] | bytes, int | None]:
    """Return what KServe's `to_rest` does: a dict and None, or a body and its JSON part's length.

    A body is made where an input is to be sent raw (`set_data_from_numpy(..., binary_data=True)`).
    """
    if not any(tensor.sends_raw for tensor in request.inputs):
        return request_dict(request), None
    return encode_request(request)


def request_dict(request: InferRequest) -> dict[str, Any]:
    """Return the JSON form of a request, every input's contents as a list."""
    return _head(request, [_json_input(tensor) for tensor in request.inputs])


def encode_request(request: InferRequest) -> tuple[bytes, int | None]:
    """Return the body, and the length of its JSON part where raw tensors follow (else None)."""
    entries: list[dict[str, Any]] = []
    raws: list[bytes] = []
    for tensor in request.inputs:
        if tensor.sends_raw:
            raws.append(v2.raw_contents(tensor))
            parameters = {**(tensor.parameters or {}), "binary_data_size": len(raws[-1])}
            entries.append({**_declared(tensor), "parameters": parameters})
        else:
            entries.append(_json_input(tensor))
    head = json_out.dumps(_head(request, entries))
    return (b"".join((head, *raws)), len(head)) if raws else (head, None)


def response_form(response: InferResponse) -> tuple[dict[str, Any] | bytes, int | None]:
    """Return what KServe's `to_rest` does for a response."""
    body, length = v2.encode(response)
    return (orjson.loads(body), None) if length is None else (body, length)


def decode_response(body: bytes, json_length: int | None) -> InferResponse:
    """Return the response of a body; InferenceError where it is none."""
    head = body if json_length is None else body[:json_length]
    try:
        value = orjson.loads(head)
    except orjson.JSONDecodeError as error:
        raise InferenceError(f"the answer is no V2 response ({error}); check the URL") from None
    return make_response(value, memoryview(body)[len(head) :])


def make_response(value: Any, raw: memoryview = memoryview(b"")) -> InferResponse:  # noqa: B008  # empty, frozen
    """Return the response of a decoded JSON part and the raw contents that follow it."""
    outputs = value.get("outputs") if isinstance(value, dict) else None
    if not isinstance(outputs, list):
        raise InferenceError('the answer is no V2 response: it has no list "outputs"')
    tensors: list[InferOutput] = []
    for item in outputs:
        tensor, raw = _output(item, raw)
        tensors.append(tensor)
    return InferResponse(
        value.get("id") or "",
        value.get("model_name") or "",
        tensors,
        model_version=value.get("model_version"),
        parameters=value.get("parameters"),
    )


def _output(item: Any, raw: memoryview) -> tuple[InferOutput, memoryview]:
    """Return an output and the raw contents of those after it."""
    try:
        parameters = dict(item.get("parameters") or {})
        tensor = InferOutput(item["name"], item["shape"], item["datatype"], item.get("data"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InferenceError(
            f"an output of the answer is no tensor ({type(error).__name__}: {error})"
        ) from None
    size = parameters.pop("binary_data_size", None)
    tensor.parameters = parameters or None
    if size is None:
        return tensor, raw
    if type(size) is not int or not 0 <= size <= len(raw):
        raise InferenceError(
            f'output "{tensor.name}" announces {size} raw bytes, {len(raw)} are left in the answer'
        )
    tensor.set_raw(raw[:size])
    return tensor, raw[size:]


def _head(request: InferRequest, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    head: dict[str, Any] = {"id": request.id} if request.id else {}
    head |= {"model_name": request.model_name, "inputs": inputs}
    if request.request_outputs:
        head["outputs"] = [
            {"name": o.name, **({"parameters": o.parameters} if o.parameters else {})}
            for o in request.request_outputs
        ]
    if request.parameters:
        head["parameters"] = request.parameters
    return head


def _declared(tensor: InferInput) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype}


def _json_input(tensor: InferInput) -> dict[str, Any]:
    if not tensor.has_contents:
        raise InvalidInput(
            f"'data' field is missing for input '{tensor.name}'; give data or an array"
        )
    entry = {**_declared(tensor), "data": tensor.data}
    parameters = {k: v for k, v in (tensor.parameters or {}).items() if k != "binary_data_size"}
    return {**entry, "parameters": parameters} if parameters else entry
