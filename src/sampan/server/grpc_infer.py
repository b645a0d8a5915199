"""ModelInfer and ModelStreamInfer over the data plane."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any, Protocol

from sampan.protocol.errors import ClientLeft
from sampan.protocol.grpc import framing, messages
from sampan.protocol.grpc.infer import Received
from sampan.protocol.grpc.layouts import Layouts
from sampan.protocol.grpc.protobuf import delimited
from sampan.protocol.grpc.status import describe
from sampan.protocol.tensors import InferRequest
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.grpc_answers import answer_inference
from sampan.server.grpc_stream import StreamCall
from sampan.server.job import Inference
from sampan.server.model import Headers
from sampan.server.repository import ModelAway
from sampan.server.streaming import Streamed, Streaming, each, is_stream, start
from sampan.wire.message import Response


class Caller(Protocol):
    """Who waits for the answer to one message."""

    over: bool

    @property
    def exchange(self) -> Exchange:
        """What is observed of the call."""

    def gone(self) -> bool:
        """Whether nobody waits any more."""


def make_inference(
    message: bytes, headers: Headers, most: int, caller: Caller, layouts: Layouts
) -> Inference:
    """Return the inference that a ModelInferRequest asks for; InvalidInput where it is none.

    The walk over the message is done here; what costs with its size is left to `decode`.
    """
    received = Received(message, layouts)
    exchange = caller.exchange
    inference = Inference(
        received.request.model_name,
        headers,
        len(message),
        partial(_fill, received, caller),
        partial(answer_inference, raw=received.is_raw, most=most, stamp=exchange.stamp),
        gone=caller.gone,
        version=received.request.model_version or "",
    )
    exchange.inference = inference
    return inference


def _fill(received: Received, caller: Caller) -> InferRequest:
    """Decode, unless the client has left while the call waited for a thread."""
    if caller.over:
        raise ClientLeft
    return received.fill()


class InferStream:
    """One call of ModelStreamInfer: an answer a request, or all that a model streams, in their
    order.

    A request that goes wrong is told in its answer's `error_message`, and the stream goes on
    (Triton's form); of a `bare` stream an answer is a ModelInferResponse, and an error its end
    (MLServer's).
    """

    def __init__(
        self,
        dataplane: DataPlane,
        headers: Headers,
        most: int,
        layouts: Layouts,
        *,
        bare: bool = False,
    ) -> None:
        self._bare = bare
        self._dataplane = dataplane
        self._headers = headers
        self._most = most
        self._layouts = layouts
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: bytes, call: StreamCall) -> None:
        """Infer one."""
        settle = partial(self._settle, call)
        try:
            headers = self._headers.copy()
            inference = make_inference(message, headers, self._most, call, self._layouts)
            self._allow_parts(inference)
            self._dataplane.infer(inference, settle)
        except ModelAway as away:
            away.then(partial(self.take, message, call))
        except Exception as error:  # noqa: BLE001  # becomes the answer
            settle(error)

    def _allow_parts(self, inference: Inference) -> None:
        """Let a model answer one request with several messages."""
        decode, encode = inference.decode, inference.encode

        def parts(result: Any, headers: Headers) -> Any:
            if not is_stream(result):
                return encode(result, headers)
            return Streaming(result, lambda item: encode(item, headers).body)

        inference.encode = parts
        entry = self._dataplane.repository.find(inference.model_name)
        if entry is not None and entry.model.takes_streamed:
            inference.decode = lambda: Streamed(decode())

    def _settle(self, call: StreamCall, outcome: Any) -> None:
        if isinstance(outcome, Streaming):
            start(self._send_parts(call, outcome), self._tasks)
            return
        if isinstance(outcome, Response):
            self._send(call, outcome.body)
        else:
            self._fail(call, outcome)
        call.proceed()

    def _send(self, call: StreamCall, body: bytes) -> None:
        """Send one answer, which comes framed."""
        message = body[framing.PREFIX_BYTES :]
        call.send(message if self._bare else delimited(2, message))

    def _fail(self, call: StreamCall, error: Any) -> None:
        """Tell an error."""
        if self._bare:
            call.end(error)
            return
        text = describe(error)[1]
        call.send(messages.encode("inference.ModelStreamInferResponse", {"error_message": text}))

    async def _send_parts(self, call: StreamCall, streaming: Streaming) -> None:
        """Send each part as soon as there is room for it; none once the client has left."""
        items = each(streaming.items, self._dataplane.workers)
        try:
            async with contextlib.aclosing(items):
                async for item in items:
                    if call.over:
                        return
                    self._send(call, streaming.encode(item))
                    await call.space()
        except Exception as error:  # noqa: BLE001  # becomes the answer
            self._fail(call, error)
        call.proceed()

    def ended(self, call: StreamCall) -> None:
        """End with the client: everything is answered."""
        call.end()

    def closed(self) -> None:
        """Nobody waits any more: `call` tells so to what still runs."""
