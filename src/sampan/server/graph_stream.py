"""ModelStreamInfer at the front of a graph: each message goes through it, in their order.

An answer a request, as a model server has it; where the last step streams (an event stream of V2
answers), each of its events is an answer as soon as it comes. A request that goes wrong is told in
its answer's `error_message`, and the stream goes on (Triton's form).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from sampan.protocol import json_out
from sampan.protocol.grpc import framing, messages
from sampan.protocol.grpc.infer import Received
from sampan.protocol.grpc.protobuf import delimited
from sampan.protocol.grpc.status import RpcError, Status, describe
from sampan.protocol.sse import Events
from sampan.protocol.v2_client import request_dict
from sampan.router.body import text_of
from sampan.router.headers import Header
from sampan.router.steps import JSON, Outcome
from sampan.router.walk import Cancel, Result
from sampan.server.graph_front import GraphFront
from sampan.server.graph_tensors import as_response
from sampan.server.grpc_answers import CONTENT_TYPE, answer_inference
from sampan.server.grpc_stream import StreamCall
from sampan.wire.upstream_answer import CallFailed

_FORM = "inference.ModelStreamInferResponse"


class RoomyCall(StreamCall):
    """A call whose conversation may wait until its client has read what was sent."""

    _room: asyncio.Event | None = None

    def drained(self) -> None:
        """The client has read what was held back."""
        super().drained()
        if self._room is not None:
            self._room.set()

    async def room(self) -> None:
        """Wait until there is room for another message."""
        while self._blocked and not self.over:
            self._room = asyncio.Event()
            await self._room.wait()


class GraphStream:
    """One call. `most` bytes of a message are sent; `blind`: messages are passed on unread."""

    def __init__(
        self, front: GraphFront, headers: Sequence[Header], most: int, *, blind: bool
    ) -> None:
        self._front = front
        self._headers = headers
        self._most = most
        self._blind = blind
        self._stop: Cancel | None = None
        self._pumping: asyncio.Task[None] | None = None

    def take(self, message: bytes, call: StreamCall) -> None:
        """Send a message through the graph."""
        try:
            self._stop = self._begin(message, call)
        except Exception as error:  # noqa: BLE001  # becomes the answer
            self._fail(call, error)
            call.proceed()

    def ended(self, call: StreamCall) -> None:
        """End with the client: everything is answered."""
        call.end()

    def closed(self) -> None:
        """Nobody waits any more: call off what is under way."""
        if self._stop is not None:
            self._stop()
        if self._pumping is not None:
            self._pumping.cancel()

    def _begin(self, message: bytes, call: StreamCall) -> Cancel:
        take = self._front.take
        if self._blind:
            settle = partial(self._settle, call, raw=True)
            return take(self._headers, message, CONTENT_TYPE, settle)
        received = Received(message)
        body = json_out.dumps(request_dict(received.fill()))
        settle = partial(self._settle, call, raw=received.is_raw)
        return take(self._headers, body, JSON, settle, streams=True)

    def _settle(self, call: StreamCall, result: Result, *, raw: bool) -> None:
        if isinstance(result, Outcome) and result.chunks is not None:
            pump = self._pump(call, result.chunks, raw=raw)
            self._pumping = asyncio.get_running_loop().create_task(pump)
        else:
            self._send(call, result, raw=raw)
            call.proceed()

    def _send(self, call: StreamCall, result: Result, *, raw: bool) -> None:
        if isinstance(result, Outcome) and result.content_type == CONTENT_TYPE:
            call.send(delimited(2, text_of(result.body)))
            return
        try:
            answer = answer_inference(as_response(result), {}, raw=raw, most=self._most)
        except Exception as error:  # noqa: BLE001  # becomes the answer
            self._fail(call, error)
        else:
            call.send(delimited(2, answer.body[framing.PREFIX_BYTES :]))

    def _fail(self, call: StreamCall, error: Exception) -> None:
        call.send(messages.encode(_FORM, {"error_message": describe(error)[1]}))

    async def _pump(self, call: StreamCall, chunks: AsyncIterator[bytes], *, raw: bool) -> None:
        """Send each event as it comes, no quicker than the client reads."""
        try:
            events = Events(self._most)
            async for piece in chunks:
                for event in events.feed(piece):
                    self._send(call, Outcome(200, event, JSON), raw=raw)
                if isinstance(call, RoomyCall):
                    await call.room()
        except CallFailed as failure:
            self._fail(call, RpcError(Status.UNAVAILABLE, failure.message))
        except ValueError as error:
            self._fail(call, RpcError(Status.RESOURCE_EXHAUSTED, str(error)))
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        call.proceed()
