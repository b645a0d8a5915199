"""KServe V2 (Open Inference Protocol) over REST: JSON and the binary tensor data extension."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson

from sampan.protocol import json_out, media, v2_schema
from sampan.protocol.bytes_tensor import serialize_byte_tensor
from sampan.protocol.datatypes import NUMPY_NAMES
from sampan.protocol.errors import InvalidInput, InvalidRequestBody
from sampan.protocol.tensors import (
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
    InferTensor,
    RequestedOutput,
)

HEADER_LENGTH = "inference-header-content-length"
_NO_LENGTH = "received byte inputs, but the'inference-header-content-length' header is missing."
_NO_FP16 = (
    "Sending FP16 data via JSON is not supported. "
    "Please use the binary data format for {kind} {name}"
)


def decode(
    body: bytes, content_type: bytes | None, header_length: bytes | None, model_name: str
) -> InferRequest:
    """Return the request; InvalidRequestBody (422) lists schema mistakes, InvalidInput is 400.

    The length of the JSON part tells that tensors follow it, whatever the type: MLServer's client
    sends `application/json` with it. Without a length a body of no said type is JSON where it
    reads as such: tritonclient sends no type with JSON, its asyncio client that of bytes.
    """
    kind = media.media_type(content_type)
    if header_length is None and (media.is_json(kind) or _may_be_json(kind, body)):
        try:
            value = _loads(body)
        except InvalidRequestBody:
            if media.is_json(kind):
                raise
            raise InvalidInput(_NO_LENGTH) from None
        if isinstance(value, str):  # KServe takes a JSON string for bytes
            raise InvalidInput(_NO_LENGTH)
        detail = v2_schema.validate_request(value)
        raw = memoryview(b"")
    else:
        length = _header_length(header_length, len(body))
        try:
            value = orjson.loads(body[:length])
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"Unrecognized request format: {error}") from None
        detail = v2_schema.validate_request(value, binary=True)
        raw = memoryview(body)[length:]
    if detail:
        raise InvalidRequestBody(detail)
    return _request(value, raw, model_name)


def _may_be_json(kind: bytes, body: bytes) -> bool:
    """Whether a body without a length may be JSON all the same, its type being a client's usual."""
    return media.is_unsaid(kind) or (kind == media.BYTES and body.startswith(b"{"))


def _loads(body: bytes) -> Any:
    """Parse JSON; on a fault say it in the standard library's words, as KServe's server does.

    The standard library also reads NaN and Infinity, which V2 clients in Python do send.
    """
    if not body:
        raise InvalidRequestBody(v2_schema.missing_body())
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        value = json.loads(body)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text
    except json.JSONDecodeError as error:
        raise InvalidRequestBody(v2_schema.json_invalid(error.msg, error.pos)) from None
    except (UnicodeError, RecursionError, ValueError) as error:
        raise InvalidRequestBody(v2_schema.json_invalid(str(error), 0)) from None
    return value


def _header_length(value: bytes | None, size: int) -> int:
    if value is None:
        raise InvalidInput(_NO_LENGTH)
    if not value.isdigit() or len(value) > 18 or int(value) > size:
        raise InvalidInput(
            f"'{HEADER_LENGTH}' header is \"{value.decode('latin-1')}\"; "
            f"send the length of the JSON part, a whole number up to {size}"
        )
    return int(value)


def _request(value: dict[str, Any], raw: memoryview, model_name: str) -> InferRequest:
    inputs: list[InferInput] = []
    offset = 0
    for item in value["inputs"]:
        tensor, offset = _input(item, raw, offset, model_name)
        inputs.append(tensor)
    if offset < len(raw):
        raise InvalidInput(
            f"{len(raw) - offset} bytes follow the last binary input; "
            "make the binary_data_size of the inputs add up to the binary part"
        )
    return make_request(value, inputs, model_name)


def make_request(value: dict[str, Any], inputs: list[InferInput], model_name: str) -> InferRequest:
    """Return the request of a checked JSON value whose inputs have been read."""
    outputs = value.get("outputs")
    return InferRequest(
        model_name,
        inputs,
        value.get("id"),
        parameters=value.get("parameters"),
        request_outputs=outputs
        and [RequestedOutput(item["name"], item.get("parameters")) for item in outputs],
    )


def _input(
    item: dict[str, Any], raw: memoryview, offset: int, model_name: str
) -> tuple[InferInput, int]:
    """Return the tensor and where the next binary one begins. Contents are checked here already,
    so that a misfit is the caller's fault wherever the model would have met it."""
    name, parameters = item["name"], item.get("parameters")
    tensor = InferInput(name, item["shape"], item["datatype"], item.get("data"), parameters)
    if tensor.datatype not in NUMPY_NAMES:
        tensor.as_numpy()  # raises, naming the datatypes
    if tensor.elsewhere and "data" not in item:
        return tensor, offset
    if "data" in item:
        if tensor.datatype == "FP16":
            raise InvalidInput(_NO_FP16.format(kind="input", name=name))
    else:
        size = (parameters or {}).pop("binary_data_size", None)
        if type(size) is not int or size < 0:
            raise InvalidInput(
                f"'data' field is missing for input '{name}' for model '{model_name}'"
            )
        tensor.set_raw(raw[offset : offset + size])
        offset = min(offset + size, len(raw))
    if tensor.datatype != "BYTES" or "data" not in item:
        tensor.as_numpy()
    return tensor, offset


def encode(response: InferResponse) -> tuple[bytes, int | None]:
    """Return the body, and the length of its JSON part where raw tensors follow (else None)."""
    chosen = response.outputs
    if response.requested_outputs or response.use_binary_outputs:
        selected = _select_outputs(response)
        if any(binary for _, binary in selected):
            return _encode_binary(response, selected)
        chosen = [output for output, _ in selected]
    data = [None if one.elsewhere else _json_data(one, response.model_name) for one in chosen]
    return json_out.dumps(make_body(response, chosen, data)), None


def make_body(
    response: InferResponse, outputs: Sequence[InferOutput], data: Sequence[Any]
) -> dict[str, Any]:
    """Return an answer as the value that its JSON is of; the data of each output flat, or None."""
    return {
        "model_name": response.model_name,
        "model_version": response.model_version,
        "id": response.id,
        "parameters": response.parameters,
        "outputs": [
            {
                "name": output.name,
                "shape": output.shape,
                "datatype": output.datatype,
                "parameters": output.parameters,
                **({} if contents is None else {"data": contents}),
            }
            for output, contents in zip(outputs, data, strict=True)
        ],
    }


def _select_outputs(response: InferResponse) -> list[tuple[InferOutput, bool]]:
    """Return the outputs to send, in the order asked for, and whether each goes out raw."""
    requested = response.requested_outputs
    if not requested:
        return [(output, response.use_binary_outputs) for output in response.outputs]
    chosen: list[tuple[InferOutput, bool]] = []
    for item in requested:
        output = response.get_output_by_name(item.name)
        if output is None:
            raise InvalidInput(
                f"Unexpected inference output '{item.name}' for model '{response.model_name}'"
            )
        chosen.append((output, bool(item.binary_data)))
    return chosen


def _encode_binary(
    response: InferResponse, chosen: list[tuple[InferOutput, bool]]
) -> tuple[bytes, int]:
    outputs: list[dict[str, Any]] = []
    raws: list[bytes] = []
    for output, binary in chosen:
        entry: dict[str, Any] = {
            "name": output.name,
            "shape": output.shape,
            "datatype": output.datatype,
        }
        parameters = dict(output.parameters or {})
        if binary and not output.elsewhere:
            raw = raw_contents(output)
            raws.append(raw)
            parameters["binary_data_size"] = len(raw)
        if parameters:
            entry["parameters"] = parameters
        if not binary and not output.elsewhere:
            entry["data"] = _json_data(output, response.model_name)
        outputs.append(entry)
    head: dict[str, Any] = {
        "id": response.id,
        "model_name": response.model_name,
        "model_version": response.model_version,
    }
    if response.parameters:
        head["parameters"] = response.parameters
    head["outputs"] = outputs
    text = json_out.dumps(head)
    return b"".join((text, *raws)), len(text)


def raw_contents(tensor: InferTensor) -> bytes:
    """Return a tensor's contents in raw form: little-endian, row-major; BYTES with lengths."""
    array = tensor.as_numpy()
    if tensor.datatype == "BYTES":
        return serialize_byte_tensor(
            item if isinstance(item, bytes) else str(item) for item in array.ravel()
        )
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _json_data(output: InferOutput, model_name: str) -> Any:
    if output.datatype == "FP16":
        raise InvalidInput(_NO_FP16.format(kind="output", name=output.name))
    if not output.has_contents:
        raise InvalidInput(
            f"'data' field is missing for output '{output.name}' for model '{model_name}'"
        )
    return json_out.json_ready(output.as_numpy().ravel())
