"""ModelInferRequest and ModelInferResponse straight between bytes and tensors (KServe V2 gRPC).

No message objects: a request is walked once, its raw and float contents stay views of the bytes
that arrived, and a response is the join of its parts.
"""

from __future__ import annotations

import struct
import sys
from functools import lru_cache
from typing import Any

from sampan.protocol.bytes_tensor import serialize_byte_tensor
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import contents, protobuf
from sampan.protocol.grpc.layouts import Layouts, Numbers, Places
from sampan.protocol.grpc.protobuf import delimited, fields, signed, text, varint
from sampan.protocol.tensors import (
    REGION,
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
    Parameters,
    RequestedOutput,
)

_NAME, _VERSION, _ID, _PARAMETERS, _TENSORS, _OUTPUTS, _RAW = (
    number << 3 | protobuf.LENGTH for number in range(1, 8)
)
_SHAPE, _SHAPE_ONE, _CONTENTS = 3 << 3 | 2, 3 << 3, 5 << 3 | 2
_COPIED = 4096  # bytes up to which a copy of an array is cheaper than a view of it


class Received:
    """A request that has been walked, its contents not yet looked at."""

    __slots__ = ("_data", "_numbers", "_places", "request")

    def __init__(self, data: bytes, layouts: Layouts | None = None) -> None:
        """Walk a message, unless one that looks like it was walked before.

        InvalidInput where it is no ModelInferRequest.
        """
        self._data = data
        layout = layouts.find(data) if layouts is not None else None
        if layout is not None:
            self.request = layout.make_request(data)
            self._places, self._numbers = layout.places, layout.numbers
            return
        self.request = InferRequest("", [])
        self._places, self._numbers = Places(), None
        self._walk()
        if layouts is not None:
            layouts.learn(data, self.request, self._places)

    @property
    def is_raw(self) -> bool:
        """Whether contents came raw, or not with the message: then they go out raw too."""
        return bool(self._places.raw) or any(
            REGION in (tensor.parameters or ()) for tensor in self.request.inputs
        )

    def _walk(self) -> None:
        data, request = self._data, self.request
        for tag, start, stop in fields(data, 0, len(data)):
            if tag == _NAME:
                request.model_name = text(data, start, stop)
            elif tag == _TENSORS:
                self._walk_input(start, stop)
            elif tag == _RAW:
                self._places.raw.append((start, stop))
            elif tag == _ID:
                request.id = text(data, start, stop) or None
                self._places.id = (start, stop)
            elif tag == _VERSION:
                request.model_version = text(data, start, stop) or None
            elif tag == _PARAMETERS:
                request.parameters = decode_parameter(data, start, stop, request.parameters)
            elif tag == _OUTPUTS:
                outputs = request.request_outputs or []
                request.request_outputs = [*outputs, _requested(data, start, stop)]

    def _walk_input(self, at: int, end: int) -> None:
        data = self._data
        name = datatype = ""
        shape: list[int] = []
        parameters: Parameters | None = None
        places: list[tuple[int, int]] = []
        for tag, start, stop in fields(data, at, end):
            if tag == _NAME:
                name = text(data, start, stop)
            elif tag == _VERSION:
                datatype = text(data, start, stop)
            elif tag == _SHAPE:
                shape += decode_dimensions(data, start, stop)
            elif tag == _SHAPE_ONE:
                shape.append(signed(start))
            elif tag == _CONTENTS:
                places.append((start, stop))
            elif tag == _PARAMETERS:
                parameters = decode_parameter(data, start, stop, parameters)
        self.request.inputs.append(InferInput(name, shape, datatype, None, parameters))
        self._places.contents.append(places)

    def fill(self) -> InferRequest:
        """Give the tensors their contents; InvalidInput where they do not fit. Costs with size."""
        request = self.request
        if self._numbers is not None:
            self._fill_numbers(self._numbers)
        elif self._places.raw:
            self._fill_raw()
        else:
            for tensor, places in zip(request.inputs, self._places.contents, strict=True):
                self._fill_typed(tensor, places)
        return request

    def _fill_numbers(self, numbers: tuple[Numbers, ...]) -> None:
        """Give all tensors what is known to fit: a view of the message each."""
        import numpy as np

        for tensor, one in zip(self.request.inputs, numbers, strict=True):
            array = np.frombuffer(self._data, one.dtype, one.count, one.start)
            tensor.set_array(array.reshape(one.shape))

    def _fill_raw(self) -> None:
        model = self.request.model_name
        pairs = zip(self.request.inputs, self._places.contents, strict=True)
        sent = [pair for pair in pairs if not pair[0].elsewhere]
        if len(sent) != len(self._places.raw):
            raise InvalidInput(
                f"the number of inputs ({len(sent)}) does not match the expected number of "
                f"raw input contents ({len(self._places.raw)}) for model '{model}'."
            )
        view = memoryview(self._data)
        for (tensor, places), (start, stop) in zip(sent, self._places.raw, strict=True):
            if places:
                raise InvalidInput(
                    "contents field must not be specified when using raw_input_contents "
                    f"for input '{tensor.name}' for model '{model}'"
                )
            tensor.set_raw(view[start:stop])
            tensor.as_numpy()

    def _fill_typed(self, tensor: InferInput, places: list[tuple[int, int]]) -> None:
        if tensor.elsewhere and not places:
            return
        if tensor.datatype == "BYTES":
            elements = contents.decode_elements(tensor.name, self._data, places)
            tensor.set_raw(memoryview(serialize_byte_tensor(elements)))
        elif contents.has_typed_form(tensor.datatype) or (places and tensor.datatype == "FP16"):
            tensor.set_raw(contents.decode_raw(tensor.name, tensor.datatype, self._data, places))
        tensor.as_numpy()


def decode_dimensions(data: bytes, at: int, end: int) -> list[int]:
    """Return the packed sizes of a shape."""
    sizes: list[int] = []
    while at < end:
        size, at = protobuf.read_varint(data, at, end)
        sizes.append(signed(size))
    return sizes


def _requested(data: bytes, at: int, end: int) -> RequestedOutput:
    name = ""
    parameters: Parameters | None = None
    for tag, start, stop in fields(data, at, end):
        if tag == _NAME:
            name = text(data, start, stop)
        elif tag == _VERSION:  # its parameters are field 2
            parameters = decode_parameter(data, start, stop, parameters)
    return RequestedOutput(name, parameters)


def decode_parameter(data: bytes, at: int, end: int, before: Parameters | None) -> Parameters:
    """Return the parameters with one map entry more."""
    key = ""
    value: str | float | bool = ""
    for tag, start, stop in fields(data, at, end):
        if tag == _NAME:
            key = text(data, start, stop)
        elif tag == _VERSION:
            value = _choice(data, start, stop)
    return {**(before or {}), key: value}


def _choice(data: bytes, at: int, end: int) -> str | float | bool:
    value: str | float | bool = ""
    for tag, start, stop in fields(data, at, end):
        if tag == 1 << 3:
            value = bool(start)
        elif tag == 2 << 3:
            value = signed(start)
        elif tag == 3 << 3 | protobuf.LENGTH:
            value = text(data, start, stop)
        elif tag == 4 << 3 | protobuf.FIXED64:
            value = struct.unpack_from("<d", data, start)[0]
        elif tag == 5 << 3:
            value = start
    return value


def encode_response(response: InferResponse, *, raw: bool) -> list[bytes]:
    """Return a ModelInferResponse in parts. `raw`: contents go out raw, as FP16 does always."""
    outputs = response.outputs if not response.requested_outputs else _select_outputs(response)
    if not raw:
        raw = not all(contents.has_typed_form(output.datatype) for output in outputs)
    parts = [_model_head(response.model_name, response.model_version)]
    if response.id:
        parts.append(delimited(3, response.id.encode()))
    if response.parameters:
        parts += encode_parameters(response.parameters)
    raws: list[bytes] = []
    for output in outputs:
        shape = tuple(output.shape)
        if output.elsewhere:
            tail = b""
            raws += (_raw_start(0),) * raw  # clients count raw contents by outputs
        elif raw:
            piece = _raw_bytes(output.datatype, _array(output, response.model_name))
            tail = _raw_tail(len(piece))
            raws += (_raw_start(len(piece)), piece)
        else:
            array = _array(output, response.model_name)
            tail = delimited(5, contents.encode(output.datatype, array))
        head = _tensor_head(output.name, output.datatype, shape)
        if output.parameters:
            tail += b"".join(encode_parameters(output.parameters))
        parts += (_tensor_start(len(head) + len(tail)), head, tail)
    return parts + raws


def _select_outputs(response: InferResponse) -> list[InferOutput]:
    """Return the outputs to send, in the order asked for."""
    if not response.requested_outputs:
        return response.outputs
    chosen: list[InferOutput] = []
    for item in response.requested_outputs:
        output = response.get_output_by_name(item.name)
        if output is None:
            raise InvalidInput(
                f"Unexpected inference output '{item.name}' for model '{response.model_name}'"
            )
        chosen.append(output)
    return chosen


def _array(output: InferOutput, model: str) -> Any:
    if not output.has_contents:
        raise InvalidInput(
            f"'data' field is missing for output '{output.name}' for model '{model}'"
        )
    return output.as_numpy()


def _raw_bytes(datatype: str, array: Any) -> Any:
    """Return an array's raw contents, as a view where it is large."""
    if datatype == "BYTES":
        return serialize_byte_tensor(
            item if isinstance(item, bytes) else str(item) for item in array.ravel()
        )
    if array.nbytes <= _COPIED and sys.byteorder == "little" and array.dtype.isnative:
        return array.tobytes()
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if little.nbytes <= _COPIED or not little.flags.c_contiguous:
        return little.tobytes()
    return memoryview(little.reshape(-1).view("u1"))


# A model's answers repeat themselves but for ids and contents: their parts are made once.


@lru_cache(256)
def _model_head(name: str, version: str | None) -> bytes:
    """Return the fields that name the model."""
    return delimited(1, name.encode()) + (delimited(2, version.encode()) if version else b"")


@lru_cache(256)
def _tensor_head(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """Return the start of an output tensor's message."""
    sizes = b"".join(varint(int(size)) for size in shape)
    return delimited(1, name.encode()) + delimited(2, datatype.encode()) + delimited(3, sizes)


@lru_cache(256)
def _raw_tail(size: int) -> bytes:
    """Return the parameter that tells how long an output's raw contents are."""
    return b"".join(encode_parameters({"binary_data_size": size}))


@lru_cache(256)
def _tensor_start(size: int) -> bytes:
    """Return what stands before an output tensor's message."""
    return varint(5 << 3 | protobuf.LENGTH) + varint(size)


@lru_cache(256)
def _raw_start(size: int) -> bytes:
    """Return what stands before raw contents."""
    return varint(6 << 3 | protobuf.LENGTH) + varint(size)


def encode_parameters(parameters: Parameters | None) -> list[bytes]:
    """Return each parameter as an entry of field 4."""
    return [
        delimited(4, delimited(1, key.encode()) + delimited(2, encode_choice(value)))
        for key, value in (parameters or {}).items()
    ]


def encode_choice(value: object) -> bytes:
    """Return a parameter's value as an InferParameter; InvalidInput for what it cannot hold."""
    if isinstance(value, bool):
        return varint(1 << 3) + varint(int(value))
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return varint(2 << 3) + varint(value)
    if isinstance(value, str):
        return delimited(3, value.encode())
    if isinstance(value, float):
        return varint(4 << 3 | protobuf.FIXED64) + struct.pack("<d", value)
    raise InvalidInput(f"to_grpc: invalid parameter value: {value!r}; use bool, int, float or str")
