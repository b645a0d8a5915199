"""Steps of a graph that are asked by gRPC: V2 JSON in, ModelInfer on the wire, V2 JSON out.

A step says so by its address, `grpc://host:port/model` (or `grpcs`); what stands before the model's
name, as a gateway may have it, stands before the method's, too. Sampan's own: KServe's router
asks over HTTP only. The tensors travel raw; what the call ends with becomes the HTTP status that
stands for it, so that nodes judge it as they judge any answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import unquote_to_bytes

import orjson

from sampan.machinery.web_address import WebAddress
from sampan.protocol import v2
from sampan.protocol.errors import ServingError
from sampan.protocol.grpc import framing
from sampan.protocol.grpc.client_form import decode_response, encode_request
from sampan.protocol.grpc.protobuf import delimited
from sampan.protocol.grpc.status import RpcError, Status
from sampan.protocol.tensors import InferResponse
from sampan.router.headers import Header
from sampan.router.walk import Cancel
from sampan.wire.http2_head import encode_fields, encode_post
from sampan.wire.upstream_answer import Answer, CallDone, CallFailed
from sampan.wire.upstream_http2_pool import Http2Pool

_METHOD = b"/inference.GRPCInferenceService/"
_JSON, _RPC = b"application/json", b"application/grpc"
_OUTPUTS = b'"outputs"'
PLAIN: Sequence[Header] = ((b"content-type", _RPC),)
"""The headers of a request that is a message already, and of which nothing else goes on."""
_OWN = frozenset({b"content-type", b"grpc-timeout", b"te", b"user-agent"})
_HTTP = {
    Status.INVALID_ARGUMENT: 400,
    Status.UNAUTHENTICATED: 401,
    Status.PERMISSION_DENIED: 403,
    Status.NOT_FOUND: 404,
    Status.RESOURCE_EXHAUSTED: 429,
    Status.UNIMPLEMENTED: 501,
    Status.UNAVAILABLE: 503,
    Status.DEADLINE_EXCEEDED: 504,
}
"""By gRPC status: the HTTP status with the same meaning (google.rpc.Code); 500 for the rest."""


class RpcTarget:
    """One step's address. `most` bytes of an answer are taken. `name` is shown in messages."""

    method = b"ModelInfer"

    def __init__(self, pool: Http2Pool, address: WebAddress, most: int) -> None:
        self._pool = pool
        before, _, model = address.target.strip(b"/").rpartition(b"/")
        self._model = model.decode()
        self._named = delimited(1, self._model.encode())
        self.name = f'"{address.origin}"'
        self._most = most
        own = ((b"te", b"trailers"), (b"content-type", b"application/grpc"))
        scheme = address.origin.scheme.encode()
        method = (b"/" + before if before else b"") + _METHOD + self.method
        self._head = encode_post(scheme, address.authority, method, own)
        self._good: Sequence[Header] | None = None
        """What an answer ended with that was good and not packed: nearly all share it."""

    def call(
        self, headers: Sequence[Header], body: bytes, seconds: float | None, done: CallDone
    ) -> Cancel:
        """Ask, and tell what came of it as V2's REST does; what is returned calls it off."""
        passed = partial(self._passed, done)
        if headers is PLAIN:  # a message already, whose last name counts
            return self._pool.call(self._head, framing.pack(body + self._named), seconds, passed)
        if (b"content-type", _RPC) in headers:
            return self._send(headers, body + self._named, seconds, passed)
        message = self.encode(body)
        if isinstance(message, Answer):
            done(message)
            return nothing
        return self._send(headers, message, seconds, partial(self._told, done))

    def encode(self, body: bytes) -> bytes | Answer:
        """Return the message of a body, or what the model's own server would refuse it with."""
        try:
            return encode_request(v2.decode(as_request(body), _JSON, None, self._model))
        except ServingError as error:
            return Answer(error.status, error.body(), _JSON)

    def _send(
        self, headers: Sequence[Header], message: bytes, seconds: float | None, done: CallDone
    ) -> Cancel:
        head = self.make_head(headers)
        return self._pool.call(head, framing.pack(message), seconds, done)

    def make_head(self, headers: Sequence[Header]) -> bytes:
        """Return the header block of a call."""
        extra = [header for header in headers if header[0] not in _OWN]
        return self._head + encode_fields(extra) if extra else self._head

    def _passed(self, done: CallDone, result: Answer | CallFailed) -> None:
        done(self._read(result) if isinstance(result, Answer) else result)

    def _told(self, done: CallDone, result: Answer | CallFailed) -> None:
        read = self._read(result) if isinstance(result, Answer) else result
        if isinstance(read, Answer) and read.content_type == _RPC:
            try:
                read = Answer(200, as_json(decode_response(read.body)), _JSON)
            except (ServingError, ValueError) as error:
                read = self.strange(error)
        done(read)

    def strange(self, error: Exception) -> CallFailed:
        """Return the failure of a call whose answer cannot be read."""
        text = f"{self.name} answered no ModelInferResponse ({error})"
        return CallFailed("InvalidAnswer", text, sent=True)

    def read_end(self, fields: Sequence[Header], status: int = 200) -> Answer | CallFailed | None:
        """Return what a call ended with, as the HTTP answer that stands for it; None: it went
        well. `status` is HTTP's own.
        """
        told = dict(fields)
        code = told.get(b"grpc-status")
        if code is None or not code.isdigit():
            text = f"{self.name} did not answer in gRPC (HTTP {status}); see its port"
            return CallFailed("InvalidAnswer", text, sent=True)
        if not int(code):
            return None
        text = _unquoted(told.get(b"grpc-message", b"")) or f"gRPC status {int(code)}"
        meant = _HTTP.get(Status(int(code)), 500) if int(code) <= max(Status) else 500
        return Answer(meant, orjson.dumps({"error": text}), _JSON)

    def _read(self, answer: Answer) -> Answer | CallFailed:
        """Return a message, or the HTTP answer that stands for a status."""
        encoding = b""
        if answer.fields is not self._good:
            end = self.read_end(answer.fields, answer.status)
            if end is not None:
                return end
            encoding = dict(answer.fields).get(b"grpc-encoding", b"")
            self._good = None if encoding else answer.fields
        try:
            message = framing.unpack_one(answer.body, encoding, self._most)
        except RpcError as error:
            return self.strange(error)
        return Answer(200, message, _RPC)


def as_request(body: bytes) -> bytes:
    """Return a V2 request as it is, and an answer as one: its outputs are the next step's inputs.

    So that a step that takes `$response` may follow one in V2; its own server would refuse it.
    """
    if _OUTPUTS not in body:
        return body
    try:
        told = orjson.loads(body)
    except ValueError:
        return body
    if not isinstance(told, dict) or "inputs" in told or not isinstance(told.get("outputs"), list):
        return body
    request = {"inputs": told["outputs"]}
    return orjson.dumps(request | {"id": told["id"]} if told.get("id") else request)


def as_json(response: InferResponse) -> bytes:
    """Return an answer as V2 JSON. Its contents came raw and go as numbers, without their size."""
    for output in response.outputs:
        if output.parameters:
            output.parameters.pop("binary_data_size", None)
            output.parameters = output.parameters or None
    return v2.encode(response)[0]


def _unquoted(text: bytes) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def nothing() -> None:
    """Call off what is over."""
