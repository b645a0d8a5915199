"""Each thing that can be asked of a server, as a value: what to send, how to read the answer. Pure.

Paths and bodies are those of KServe's V1 and V2 protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote

import orjson

from sampan.protocol import json_out, media, v2_client
from sampan.protocol.datatypes import from_np_dtype
from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest, InferResponse, RequestedOutput
from sampan.protocol.v2 import HEADER_LENGTH

if TYPE_CHECKING:
    import numpy.typing as npt

Inputs: TypeAlias = "InferRequest | Mapping[str, npt.NDArray[Any]]"
Result = TypeVar("Result")
_JSON = media.JSON.decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """A request and how its answer is read. `refusals` are error statuses that `read` takes."""

    method: str
    path: str
    read: Callable[[Answer], Result]
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    refusals: frozenset[int] = frozenset()


def predict(model: str, payload: Any) -> Call[Any]:
    """V1 predict. Bytes go out as they are; anything else as JSON (NumPy arrays included)."""
    return _v1(model, "predict", payload)


def explain(model: str, payload: Any) -> Call[Any]:
    """V1 explain."""
    return _v1(model, "explain", payload)


def infer(
    model: str,
    inputs: Inputs,
    *,
    binary: bool = True,
    outputs: tuple[str, ...] = (),
) -> Call[InferResponse]:
    """V2 infer. `binary` sends and asks for raw tensors; `outputs` names those to return.

    A request is sent as it is; arrays by name become one.
    """
    request = inputs if isinstance(inputs, InferRequest) else make_request(model, inputs, binary)
    if not isinstance(inputs, InferRequest):
        request.request_outputs = [RequestedOutput(o, {"binary_data": binary}) for o in outputs]
        if binary and not outputs:
            request.parameters = {"binary_data_output": True}
    body, length = v2_client.encode_request(request)
    headers = {"content-type": _JSON}
    if length is not None:
        headers = {"content-type": media.BYTES.decode(), HEADER_LENGTH: str(length)}
    return Call("POST", f"/v2/models/{_quoted(model)}/infer", read_inference, body, headers)


def make_request(
    model: str, arrays: Mapping[str, npt.NDArray[Any]], binary: bool = True
) -> InferRequest:
    """Return the request of arrays by input name; InvalidInput where V2 has no such datatype."""
    tensors: list[InferInput] = []
    for name, array in arrays.items():
        datatype = from_np_dtype(array.dtype)
        if datatype is None:
            raise InvalidInput(
                f'input "{name}" is of "{array.dtype}", which V2 has no datatype for; convert it'
            )
        tensor = InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    return InferRequest(model, tensors)


def get(path: str, read: Callable[[Answer], Result]) -> Call[Result]:
    """A plain question: metadata, lists."""
    return Call("GET", path, read)


def is_up(path: str, *unready: int) -> Call[bool]:
    """A health question; any answer that is an error means no, these statuses and 503 too."""
    return Call("GET", path, lambda a: a.ok, refusals=frozenset({*unready, 503}))


def model_ready(model: str) -> Call[bool]:
    """Whether a model answers; an unknown one (404) is an error."""
    return is_up(f"/v2/models/{_quoted(model)}/ready")


def model_metadata(model: str) -> Call[dict[str, Any]]:
    """Name, platform, inputs and outputs of a model."""
    return get(f"/v2/models/{_quoted(model)}", read_json)


def repository(model: str, verb: str) -> Call[dict[str, Any]]:
    """Load or unload a model."""
    return Call("POST", f"/v2/repository/models/{_quoted(model)}/{verb}", read_json)


def index(ready: bool) -> Call[list[dict[str, Any]]]:
    """Every model with its state."""
    body = orjson.dumps({"ready": ready})
    headers = {"content-type": _JSON}
    return Call("POST", "/v2/repository/index", read_json, body, headers)


def stream(path: str, payload: Any) -> Call[None]:
    """A request whose answer is read piece by piece."""
    headers = {"content-type": _JSON, "accept": "text/event-stream, */*;q=0.5"}
    return Call("POST", path, lambda _: None, json_out.dumps(payload), headers)


def read_json(answer: Answer) -> Any:
    """Return the decoded body; bytes where it is no JSON by its type."""
    kind = media.media_type(answer.headers.get("content-type", "").encode())
    if not media.is_json(kind):
        return answer.body
    return orjson.loads(answer.body)


def read_inference(answer: Answer) -> InferResponse:
    """Return the V2 response, its raw tensors as views into the body."""
    length = answer.headers.get(HEADER_LENGTH, "")
    return v2_client.decode_response(answer.body, int(length) if length.isdecimal() else None)


def _v1(model: str, verb: str, payload: Any) -> Call[Any]:
    raw = isinstance(payload, bytes)
    body = payload if raw else json_out.dumps(payload)
    headers = {"content-type": media.BYTES.decode() if raw else _JSON}
    return Call("POST", f"/v1/models/{_quoted(model)}:{verb}", read_json, body, headers)


def _quoted(model: str) -> str:
    return quote(model, safe="")
