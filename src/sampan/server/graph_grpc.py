"""gRPC at the front of a graph: a ModelInferRequest goes through it as V2 JSON, and back.

KServe's router speaks HTTP only. Nodes look into requests and answers as they do over HTTP, and
what the graph answers in V2's form becomes a ModelInferResponse. What an Ensemble merges becomes
one response, whose outputs are named `step.output`. Where no node looks and every step speaks gRPC,
messages are passed on as they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from sampan.machinery.registry import JsonObject
from sampan.protocol import json_out
from sampan.protocol.grpc import framing, messages
from sampan.protocol.grpc.infer import Received
from sampan.protocol.grpc.status import RpcError, Status, from_http, parse_timeout
from sampan.protocol.v2_client import request_dict
from sampan.router.blind import is_blind
from sampan.router.body import text_of
from sampan.router.steps import JSON, Outcome
from sampan.router.walk import Result
from sampan.server.exchange import Exchange
from sampan.server.graph_front import GraphFront
from sampan.server.graph_stream import GraphStream, RoomyCall
from sampan.server.graph_tensors import as_response
from sampan.server.grpc_answers import CONTENT_TYPE, answer, answer_inference, fail
from sampan.wire.calls import Cancel, Channel, Handler
from sampan.wire.message import Reply, Request, Response

_SERVICE = b"/inference.GRPCInferenceService/"
_PLAIN = object()
"""Noted of a head: its message is not packed, it has no deadline, and nothing of it goes on."""


class _Call:
    """A call with a deadline: answered once, and its steps are called off where that is late."""

    __slots__ = ("_reply", "_timer", "over", "stop")

    def __init__(self, reply: Reply, seconds: float) -> None:
        self._reply = reply
        self.over = False
        self.stop: Cancel | None = None
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def __call__(self, response: Response) -> None:
        """Answer, and let nobody work for it any more."""
        if not self.over:
            self._end()
            self._reply(response)

    def cancel(self) -> None:
        """Nobody waits any more."""
        if not self.over:
            self._end()

    def _expire(self) -> None:
        self(fail(RpcError(Status.DEADLINE_EXCEEDED, "Deadline Exceeded")))

    def _end(self) -> None:
        self.over = True
        self._timer.cancel()
        stop, self.stop = self.stop, None
        if stop is not None:
            stop()


class GraphGrpc:
    """The `Calls` of a graph's wire. `most` bytes of a message are taken, and sent."""

    streaming = frozenset({_SERVICE + b"ModelStreamInfer"})

    def __init__(self, front: GraphFront, most: int) -> None:
        self._front = front
        self._most = most
        self._blind = is_blind(front.graph)
        self._small: Mapping[bytes, Callable[[], Response]] = MappingProxyType(
            {
                _SERVICE + b"ServerLive": lambda: _encoded("ServerLiveResponse", {"live": True}),
                _SERVICE + b"ServerReady": partial(self._ready, "ServerReadyResponse"),
                _SERVICE + b"ModelReady": partial(self._ready, "ModelReadyResponse"),
                b"/grpc.health.v1.Health/Check": self._health,
            }
        )

    def submit(self, request: Request, reply: Reply) -> Cancel | None:
        """Answer a call of one message; what is returned tells that nobody waits."""
        small = self._small.get(request.target)
        if small is not None:
            reply(small())
            return None
        try:
            return self._begin(request, reply)
        except Exception as error:  # noqa: BLE001  # becomes the answer
            reply(fail(error))
            return None

    def open(self, request: Request, channel: Channel) -> Handler | None:
        """Return the handler of a streaming method, None for a unary one."""
        if request.target not in self.streaming:
            return None
        headers = request.texts()
        try:
            seconds = parse_timeout(headers["grpc-timeout"]) if "grpc-timeout" in headers else None
        except RpcError:
            return None  # `submit` meets the same and answers it
        stream = GraphStream(self._front, request.headers, self._most, blind=self._blind)
        unpacker = framing.Unpacker(_encoding(headers), self._most)
        call = RoomyCall(channel, unpacker, stream, Exchange(request, _discard, None))
        if seconds is not None:
            call.expire_in(seconds)
        return call

    def refuse(self, status: int, text: str) -> Response:
        """Return the answer to a call that the wire refuses for an HTTP status."""
        return fail(RpcError(from_http(status), text))

    def _begin(self, request: Request, reply: Reply) -> Cancel | None:
        """Let a call go through the graph; return what calls it off, None where it is over."""
        if request.target != _SERVICE + b"ModelInfer":
            text = "a graph answers ModelInfer and ModelStreamInfer; ask its steps"
            raise RpcError(Status.UNIMPLEMENTED, text)
        plain = request.note is not None and request.note.value is _PLAIN
        encoding, timeout = (b"", "") if plain else self._look_at(request)
        message = framing.unpack_one(request.body, encoding, self._most)
        if not timeout:
            return self._send(request, message, reply)
        call = _Call(reply, parse_timeout(timeout))
        call.stop = self._send(request, message, call)
        return None if call.over else call.cancel

    def _look_at(self, request: Request) -> tuple[bytes, str]:
        """Return how a call's message is packed, and its deadline ("": none).

        What is noted of a head is for its very bytes (`http2_head`): no value in it may vary.
        """
        headers = request.texts()
        encoding, timeout = _encoding(headers), headers.get("grpc-timeout", "")
        if request.note is not None and not (encoding or timeout):
            request.note.value = None if self._front.passes(request.headers) else _PLAIN
        return encoding, timeout

    def _send(self, request: Request, message: bytes, reply: Reply) -> Cancel | None:
        if self._blind:
            done = partial(_pass, reply)
            if request.note is not None and request.note.value is _PLAIN:
                return self._front.take_plain(message, done)
            return self._front.take(request.headers, message, CONTENT_TYPE, done)
        received = Received(message)
        body = json_out.dumps(request_dict(received.fill()))
        settle = partial(_settle, reply, raw=received.is_raw, most=self._most)
        return self._front.take(request.headers, body, JSON, settle)

    def _ready(self, form: str) -> Response:
        return _encoded(form, {"ready": not self._front.stopping})

    def _health(self) -> Response:
        status = 2 if self._front.stopping else 1
        return answer(messages.encode("grpc.health.v1.HealthCheckResponse", {"status": status}))


def _pass(reply: Reply, result: Result) -> None:
    """Answer with what the last step did, unread."""
    if isinstance(result, Outcome) and result.content_type == CONTENT_TYPE:
        reply(answer(text_of(result.body)))
    else:
        _settle(reply, result, raw=True, most=0)  # a failure: nothing is encoded


def _settle(reply: Reply, result: Result, *, raw: bool, most: int) -> None:
    try:
        response = answer_inference(as_response(result), {}, raw=raw, most=most)
    except Exception as error:  # noqa: BLE001  # becomes the answer
        response = fail(error)
    reply(response)


def _encoding(headers: Mapping[str, str]) -> bytes:
    return headers.get("grpc-encoding", "").encode("latin-1")


def _discard(response: Response) -> None:
    """Answer a stream: its channel does."""


def _encoded(form: str, value: JsonObject) -> Response:
    return answer(messages.encode(f"inference.{form}", value))
