"""StreamPredictions: one request, and its answer in as many messages as the handler makes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sampan.protocol.grpc import messages
from sampan.runtimes.torchserve.answers import Answer
from sampan.runtimes.torchserve.schema import TABLES
from sampan.runtimes.torchserve.turns import Parts
from sampan.server.dataplane import DataPlane
from sampan.server.grpc_stream import StreamCall
from sampan.server.job import Inference
from sampan.server.model import Headers
from sampan.server.streaming import start


def encode_part(answer: Answer) -> bytes:
    """Return a PredictionResponse."""
    return messages.encode("PredictionResponse", {"prediction": answer.body()}, TABLES)


class PredictionStream:
    """The `server.grpc_stream.Conversation` of one call."""

    def __init__(
        self,
        dataplane: DataPlane,
        make_inference: Callable[[bytes], Inference],
        headers: Headers,
    ) -> None:
        self._dataplane = dataplane
        self._make_inference = make_inference
        self._headers = headers
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: bytes, call: StreamCall) -> None:
        """Ask the handler."""
        try:
            inference = self._make_inference(message)
            inference.headers, inference.gone = self._headers, call.gone
            inference.encode = lambda result, _: result
            call.exchange.inference = inference
            self._dataplane.infer(inference, lambda outcome: self._settle(call, outcome))
        except Exception as error:  # noqa: BLE001  # becomes the answer
            call.end(error)

    def _settle(self, call: StreamCall, outcome: Any) -> None:
        if isinstance(outcome, Answer):
            call.send(encode_part(outcome))
            call.proceed()
        elif isinstance(outcome, Parts):
            start(_send(outcome, call), self._tasks)
        else:
            call.end(outcome)

    def ended(self, call: StreamCall) -> None:
        """End with the client: everything is answered."""
        call.end()

    def closed(self) -> None:
        """Nobody waits any more; the handler, which cannot be told, goes on to its end."""


async def _send(parts: Parts, call: StreamCall) -> None:
    """Send each part as soon as there is room for it; none once the client has left."""
    try:
        async for part in parts:
            if call.over:
                return
            call.send(encode_part(part))
            await call.space()
    except Exception as error:  # noqa: BLE001  # becomes the answer
        call.end(error)
    call.proceed()
