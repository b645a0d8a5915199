"""Inferences as REST asks them: how each protocol's body becomes a payload, and a result a body.

`decode` and `encode` of a call may run on a thread; nothing here touches the loop.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any, TypeAlias

from sampan.protocol import cloudevents, generate, json_out, media, v1, v2, v2_arrays
from sampan.protocol.cloudevents import Event
from sampan.protocol.errors import InvalidInput, InvalidRequestBody, UnsupportedEncoding
from sampan.protocol.tensors import InferResponse, RequestedOutput
from sampan.server.cloudevents import wrap
from sampan.server.job import Inference
from sampan.server.model import Headers, InferenceVerb
from sampan.server.reading import Reading
from sampan.server.streaming import Streaming, encode_event_data, encode_item, is_stream
from sampan.wire.message import Request, Response

_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})
_EVENT_STREAM = b"text/event-stream"


Fields: TypeAlias = "tuple[tuple[bytes, bytes], ...]"
"""Header fields. The `stamp` of a call is what every answer carries: an answer that begins with it
need not be made twice."""


class V1Call:
    """A V1 request, perhaps a CloudEvent, and its answer."""

    __slots__ = ("_event", "_name", "_reading", "_request", "_stamp")

    def __init__(self, request: Request, name: str, reading: Reading, stamp: Fields = ()) -> None:
        self._request = request
        self._name = name
        self._reading = reading
        self._stamp = stamp
        self._event: Event | None = None

    def make_inference(self, verb: InferenceVerb) -> Inference:
        """Return the inference of the call."""
        request = self._request
        size = len(request.body)
        return Inference(self._name, request.texts(), size, self.decode, self.encode, verb)

    def decode(self) -> Any:
        """Return the payload; of an event, its data."""
        request = self._request
        if self._reading.event and cloudevents.is_binary(request.texts()):
            self._event, payload = cloudevents.decode_binary(request.texts(), request.body)
            return payload
        if not self._reading.json:
            return request.body
        payload = v1.loads(request.body)
        if isinstance(payload, dict) and "specversion" in payload:
            content_type = request.header(b"content-type")
            self._event, payload = cloudevents.unwrap_structured(payload, content_type)
        return payload

    def encode(self, result: Any, headers: Headers) -> Any:
        """Return the answer; the model may set its own content type."""
        if is_stream(result):
            events = _EVENT_STREAM in (self._request.header(b"accept") or b"")
            encode = encode_event_data if events else encode_item
            return Streaming(result, encode, events, _extra(headers, content_type=not events))
        body, content_type = v1.encode(result)
        if not headers:
            response = Response(200, body, content_type, self._stamp)
        else:
            for name, value in headers.items():
                if name.lower() == "content-type":
                    content_type = value.encode("latin-1")
            response = Response(200, body, content_type, _extra(headers))
        if self._event is not None and content_type == media.JSON:
            return wrap(self._event, response, self._name)
        return response


class V2Call:
    """A V2 request and its answer."""

    __slots__ = ("_name", "_request", "_stamp")

    def __init__(self, request: Request, name: str, stamp: Fields = ()) -> None:
        self._request = request
        self._name = name
        self._stamp = stamp

    def decode(self) -> Any:
        """Return the InferRequest."""
        request = self._request
        kind = request.header(b"content-type")
        length = request.header(b"inference-header-content-length")
        if length is None and len(request.body) >= v2_arrays.WORTH_BYTES:
            large = media.is_json(media.media_type(kind))
            if large and (decoded := v2_arrays.decode_arrays(request.body, self._name)):
                return decoded
        return v2.decode(request.body, kind, length, self._name)

    def encode(self, result: Any, headers: Headers) -> Any:
        """Return the answer: of an InferResponse, of a dict that is one already, or a stream."""
        if is_stream(result):
            return Streaming(result, _encode_part, events=True, headers=_extra(headers))
        extra = _extra(headers) if headers else self._stamp
        if not isinstance(result, InferResponse):
            return Response(200, json_out.dumps(_validated(result)), media.JSON, extra)
        if not result.id:
            result.id = str(uuid.uuid4())
        body, length = v2.encode(result)
        if length is None:
            return Response(200, body, media.JSON, extra)
        size = (v2.HEADER_LENGTH.encode(), b"%d" % length)
        return Response(200, body, media.BYTES, (*extra, size))


class GenerateCall:
    """A request of the generate extension; streamed, each part is an event."""

    __slots__ = ("_events", "_name", "_request")

    def __init__(self, request: Request, name: str, *, events: bool) -> None:
        self._request = request
        self._name = name
        self._events = events

    def decode(self) -> Any:
        """Return the InferRequest of the fields."""
        return generate.decode(self._request.body, self._name)

    def encode(self, result: Any, headers: Headers) -> Any:
        """Return the answer; one part for `generate`, any number for `generate_stream`."""
        encode = partial(generate.encode, model_name=self._name)
        if self._events:
            parts = result if is_stream(result) else iter((result,))
            return Streaming(parts, encode, events=True, headers=_extra(headers))
        if is_stream(result):
            raise InvalidInput(
                f'model "{self._name}" answers in several parts; ask its generate_stream'
            )
        return Response(200, encode(result), media.JSON, _extra(headers))


def make_v2(request: Request, name: str, stamp: Fields) -> Inference:
    """Return the inference of a V2 request."""
    call = V2Call(request, name, stamp)
    return Inference(name, request.texts(), len(request.body), call.decode, call.encode)


def make_generate(request: Request, name: str, *, events: bool) -> Inference:
    """Return the inference of a generate request."""
    call = GenerateCall(request, name, events=events)
    return Inference(name, request.texts(), len(request.body), call.decode, call.encode)


def blame_encoding(request: Request, error: Exception) -> Exception:
    """Return the error of a body that was not understood, naming its encoding where it has one."""
    encoding = request.header(b"content-encoding")
    if encoding in {None, b"identity"} or not isinstance(error, (InvalidInput, InvalidRequestBody)):
        return error
    return UnsupportedEncoding((encoding or b"").decode("latin-1"))


def _extra(headers: Headers, *, content_type: bool = False) -> tuple[tuple[bytes, bytes], ...]:
    """Return what a model set as response headers, less what is the wire's or the protocol's."""
    return tuple(
        (lower.encode("latin-1"), value.encode("latin-1"))
        for lower, value in ((name.lower(), value) for name, value in headers.items())
        if lower not in _FRAMING and (content_type or lower != "content-type")
    )


def _encode_part(result: Any) -> bytes:
    """Return one part of a streamed V2 answer, as JSON: an event has no place for raw tensors."""
    if not isinstance(result, InferResponse):
        return encode_event_data(result)
    result.id = result.id or str(uuid.uuid4())
    result.use_binary_outputs = False
    result.requested_outputs = [RequestedOutput(o.name) for o in result.requested_outputs or ()]
    return v2.encode(result)[0]


def _validated(result: Any) -> dict[str, Any]:
    """Return a dict result in the response's key order, nulls included."""
    known = result if isinstance(result, dict) else {}
    missing = [key for key in ("model_name", "id", "outputs") if key not in known]
    if missing:
        raise TypeError(
            f'the model\'s answer to a V2 request lacks "{missing[0]}"; return an InferResponse, '
            "or a dict with model_name, id and outputs"
        )
    return {
        "model_name": result["model_name"],
        "model_version": result.get("model_version"),
        "id": result["id"],
        "parameters": result.get("parameters"),
        "outputs": result["outputs"],
    }
