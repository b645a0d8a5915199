"""gRPC: methods to the data plane and back, over `wire.http2`, in the bytes of `protocol.grpc`.

Unary calls come whole and are answered whole, without a task; streaming ones get a `StreamCall`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import ServerNotReady, ServingError
from sampan.protocol.grpc import framing, messages
from sampan.protocol.grpc.layouts import Layouts
from sampan.protocol.grpc.status import RpcError, Status, from_http, parse_timeout
from sampan.server import grpc_health
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange, Observation
from sampan.server.grpc_answers import answer, fail
from sampan.server.grpc_call import Call
from sampan.server.grpc_infer import InferStream, make_inference
from sampan.server.grpc_reflection import Reflection
from sampan.server.grpc_stream import Conversation, StreamCall
from sampan.server.job import Inference
from sampan.server.model import Headers
from sampan.server.repository import ModelAway
from sampan.wire.calls import Cancel, Channel
from sampan.wire.message import Reply, Request, Response
from sampan.wire.pump import discard

logger = logging.getLogger("sampan.server")

MESSAGE_BYTES = 8 * 1024 * 1024  # KServe's default for both directions
_SERVICE = b"/inference.GRPCInferenceService/"
_UNKNOWN = "Method not found!"  # grpcio's words
Answered: TypeAlias = "JsonObject | Coroutine[Any, Any, JsonObject]"


class Unary(NamedTuple):
    """A method of one message and one answer, both small: dicts in, dicts out."""

    takes: str
    gives: str
    act: Callable[[JsonObject], Answered]


Method: TypeAlias = "Callable[[bytes], bytes | Coroutine[Any, Any, bytes] | Inference]"
"""A method of another server's interface: a message in, a message out. An inference is asked of
its model, and what its `encode` returns is the answer."""


class Api(Protocol):
    """Another server's interface, beside KServe's and before it where both have a method.

    It may have `streams(dataplane)`, too: its streaming methods by path, as what makes a
    `Conversation` of a call's headers.
    """

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Method]:
        """Return its methods by path."""


class Grpc:
    """The `Calls` of a wire. `most_received` and `most_sent` are bytes of a message."""

    def __init__(
        self,
        dataplane: DataPlane,
        most_received: int = MESSAGE_BYTES,
        most_sent: int = MESSAGE_BYTES,
        observation: Observation | None = None,
        api: Api | None = None,
    ) -> None:
        self._dataplane = dataplane
        self._methods = {} if api is None else api.methods(dataplane)
        self._address: Callable[[Inference], None] | None = getattr(api, "address", None)
        self._tracing = observation.tracing if observation is not None else None
        self._observed = observation.of_answers() if observation is not None else None
        self._make_exchange = Exchange if self._tracing is None else self._tracing.make_exchange
        self._layouts = Layouts()
        self._most_received = most_received
        self._most_sent = most_sent
        self._tasks: set[asyncio.Task[None]] = set()
        self._infer_path = _SERVICE + b"ModelInfer"
        self._unary: dict[bytes, Unary] = {
            **{
                _SERVICE + name.encode(): Unary(
                    f"inference.{name}Request", f"inference.{name}Response", act
                )
                for name, act in self._actions().items()
            },
            b"/grpc.health.v1.Health/Check": Unary(
                "grpc.health.v1.HealthCheckRequest",
                "grpc.health.v1.HealthCheckResponse",
                lambda request: grpc_health.check(dataplane, request),
            ),
        }
        self._streams: dict[bytes, Callable[[Headers], Conversation]] = {
            _SERVICE + b"ModelStreamInfer": lambda headers: InferStream(
                dataplane,
                headers,
                most_sent,
                self._layouts,
                bare=getattr(api, "bare_streams", False),
            ),
            b"/grpc.health.v1.Health/Watch": lambda _: grpc_health.Watch(dataplane),
            b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": lambda _: Reflection(
                "v1"
            ),
            b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": (
                lambda _: Reflection("v1alpha")
            ),
        }

        own = getattr(api, "streams", None)
        if own is not None:
            self._streams |= own(dataplane)
        self.streaming = frozenset(self._streams)

    # -- what the wire asks ------------------------------------------------------------------

    def submit(self, request: Request, reply: Reply) -> Cancel | None:
        """Answer a call of one message, now or later."""
        call = Call(self._make_exchange(request, reply, self._observed))
        if self._tracing is None:
            self._begin(request, call)
        else:
            self._tracing.run_rpc(call.exchange, partial(self._begin, request, call))
        return None if call.over else call.cancel

    def _begin(self, request: Request, call: Call) -> None:
        try:
            headers = request.texts()
            message = framing.unpack_one(request.body, _encoding(headers), self._most_received)
            if "grpc-timeout" in headers:
                call.expire_in(parse_timeout(headers["grpc-timeout"]))
            if request.target == self._infer_path:
                inference = make_inference(message, headers, self._most_sent, call, self._layouts)
                if self._address is not None:
                    self._address(inference)
                self._dataplane.infer(inference, call.settle)
            else:
                self._act(request.target, message, call)
        except ModelAway as away:
            away.then(partial(self._again, request, call))
        except Exception as error:  # noqa: BLE001  # becomes the answer
            _log(error)
            call.settle(error)

    def _again(self, request: Request, call: Call) -> None:
        """Begin again what waited for its model, unless its deadline has passed or it was left."""
        if not call.over:
            self._begin(request, call)

    def open(self, request: Request, channel: Channel) -> StreamCall | None:
        """Return the handler of a streaming method, None for a unary one."""
        converse = self._streams.get(request.target)
        if converse is None:
            return None
        headers = request.texts()
        try:
            seconds = parse_timeout(headers["grpc-timeout"]) if "grpc-timeout" in headers else None
        except RpcError:
            return None  # `submit` meets the same and answers it
        exchange = Exchange(request, discard, self._observed)
        unpacker = framing.Unpacker(_encoding(headers), self._most_received)
        if self._tracing is not None:
            self._tracing.run_rpc(exchange, _nothing)
        call = StreamCall(channel, unpacker, converse(headers), exchange)
        if seconds is not None:
            call.expire_in(seconds)
        return call

    def refuse(self, status: int, text: str) -> Response:
        """Return the answer to a call that the wire refuses for an HTTP status."""
        return fail(RpcError(from_http(status), text))

    # -- methods of small messages -----------------------------------------------------------

    def _act(self, target: bytes, message: bytes, call: Call) -> None:
        own = self._methods.get(target)
        if own is not None:
            made = own(message)
            if isinstance(made, bytes):
                call.settle(answer(made))
            elif isinstance(made, Inference):
                made.headers, made.gone = call.exchange.request.texts(), call.gone
                call.exchange.inference = made
                self._dataplane.infer(made, call.settle)
            else:
                self._await(made, call)
            return
        method = self._unary.get(target)
        if method is None:
            raise RpcError(Status.UNIMPLEMENTED, _UNKNOWN)
        answered = method.act(messages.decode(method.takes, message))
        if isinstance(answered, dict):
            call.settle(answer(messages.encode(method.gives, answered)))
            return
        self._await(_encoded(answered, method.gives), call)

    def _await(self, made: Coroutine[Any, Any, bytes], call: Call) -> None:
        task = asyncio.get_running_loop().create_task(_settle(made, call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _actions(self) -> dict[str, Callable[[JsonObject], Answered]]:
        return {
            "ServerLive": lambda _: {"live": True},
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _: self._dataplane.metadata(),
            "ModelMetadata": lambda request: self._dataplane.model_metadata(request["name"]),
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }

    def _server_ready(self, request: JsonObject) -> JsonObject:
        del request
        try:
            self._dataplane.validate_ready()
        except ServerNotReady:
            return {"ready": False}
        return {"ready": True}

    def _model_ready(self, request: JsonObject) -> JsonObject:
        return {"ready": bool(self._dataplane.repository.described(request["name"]).ready)}

    def _index(self, request: JsonObject) -> JsonObject:
        return {"models": self._dataplane.repository.index(request["ready"])}

    async def _load(self, request: JsonObject) -> JsonObject:
        name = _model_name(request)
        await self._dataplane.load(name)
        return {"model_name": name, "isLoaded": True}

    def _unload(self, request: JsonObject) -> JsonObject:
        name = _model_name(request)
        self._dataplane.repository.unload(name)
        return {"model_name": name, "isUnloaded": True}


async def _encoded(answered: Coroutine[Any, Any, JsonObject], gives: str) -> bytes:
    return messages.encode(gives, await answered)


async def _settle(made: Coroutine[Any, Any, bytes], call: Call) -> None:
    try:
        call.settle(answer(await made))
    except Exception as error:  # noqa: BLE001  # becomes the answer
        _log(error)
        call.settle(error)


def _model_name(request: JsonObject) -> str:
    """Return the model to load or unload, wherever the client's .proto has its name."""
    name: str = request["name_after_repository"] or request["model_name"]
    return name


def _encoding(headers: Headers) -> bytes:
    """Return the compression that a call's metadata names; nothing where it names none."""
    return headers["grpc-encoding"].encode("latin-1") if "grpc-encoding" in headers else b""


def _nothing() -> None:
    """Stand for the handler of a call whose messages are still to come."""


def _log(error: Exception) -> None:
    """Log what nobody foresaw: the client is told nothing of it."""
    if not isinstance(error, (ServingError, RpcError, NotImplementedError)):
        logger.error("a gRPC method raised", exc_info=error)
