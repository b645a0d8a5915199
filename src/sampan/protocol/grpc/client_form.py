"""ModelInferRequest and ModelInferResponse from the client's side: contents go and come raw."""

from __future__ import annotations

from sampan.protocol import v2
from sampan.protocol.bytes_tensor import serialize_byte_tensor
from sampan.protocol.grpc import contents, protobuf
from sampan.protocol.grpc.infer import (
    decode_dimensions,
    decode_parameter,
    encode_choice,
    encode_parameters,
)
from sampan.protocol.grpc.protobuf import delimited, fields, signed, text, varint
from sampan.protocol.tensors import InferOutput, InferRequest, InferResponse, Parameters

_1, _2, _3, _4, _5, _6 = (number << 3 | protobuf.LENGTH for number in range(1, 7))


def encode_request(request: InferRequest) -> bytes:
    """Return the bytes of a ModelInferRequest."""
    parts = [delimited(1, request.model_name.encode())]
    if request.model_version:
        parts.append(delimited(2, request.model_version.encode()))
    if request.id:
        parts.append(delimited(3, request.id.encode()))
    parts += encode_parameters(request.parameters)
    for tensor in request.inputs:
        head = delimited(1, tensor.name.encode()) + delimited(2, tensor.datatype.encode())
        head += delimited(3, b"".join(varint(int(size)) for size in tensor.shape))
        kept = {k: v for k, v in (tensor.parameters or {}).items() if k != "binary_data_size"}
        parts.append(delimited(5, head + b"".join(encode_parameters(kept))))
    for wanted in request.request_outputs or ():
        head = delimited(1, wanted.name.encode())
        for key, value in (wanted.parameters or {}).items():
            entry = delimited(1, key.encode()) + delimited(2, encode_choice(value))
            head += delimited(2, entry)
        parts.append(delimited(6, head))
    parts += [delimited(7, v2.raw_contents(tensor)) for tensor in request.inputs]
    return b"".join(parts)


def decode_response(data: bytes) -> InferResponse:
    """Return the response of a ModelInferResponse; InvalidInput where the bytes are none."""
    response = InferResponse("", "", [], from_grpc=True)
    raws: list[memoryview] = []
    for tag, start, stop in fields(data, 0, len(data)):
        if tag == _1:
            response.model_name = text(data, start, stop)
        elif tag == _2:
            response.model_version = text(data, start, stop) or None
        elif tag == _3:
            response.id = text(data, start, stop)
        elif tag == _4:
            response.parameters = decode_parameter(data, start, stop, response.parameters)
        elif tag == _5:
            response.outputs.append(_output(data, start, stop))
        elif tag == _6:
            raws.append(memoryview(data)[start:stop])
    for output, raw in zip(response.outputs, raws, strict=False):
        output.set_raw(raw)
    return response


def _output(data: bytes, at: int, end: int) -> InferOutput:
    name = datatype = ""
    shape: list[int] = []
    parameters: Parameters | None = None
    places: list[tuple[int, int]] = []
    for tag, start, stop in fields(data, at, end):
        if tag == _1:
            name = text(data, start, stop)
        elif tag == _2:
            datatype = text(data, start, stop)
        elif tag == _3:
            shape += decode_dimensions(data, start, stop)
        elif tag == 3 << 3:
            shape.append(signed(start))
        elif tag == _4:
            parameters = decode_parameter(data, start, stop, parameters)
        elif tag == _5:
            places.append((start, stop))
    output = InferOutput(name, shape, datatype, None, parameters)
    if places and datatype == "BYTES":
        elements = contents.decode_elements(name, data, places)
        output.set_raw(memoryview(serialize_byte_tensor(elements)))
    elif places:
        output.set_raw(contents.decode_raw(name, datatype, data, places))
    return output
