"""A unary call that may outlast its deadline or its client: it is answered once."""

from __future__ import annotations

import asyncio
from typing import Any

from sampan.protocol.grpc.status import RpcError, Status
from sampan.server.exchange import Exchange
from sampan.server.grpc_answers import fail
from sampan.wire.message import Response


class Call:
    """One call; `exchange` sends its answer, with what is observed of it."""

    __slots__ = ("_timer", "exchange", "over")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.over = False
        self._timer: asyncio.TimerHandle | None = None

    def expire_in(self, seconds: float) -> None:
        """Answer DEADLINE_EXCEEDED when nothing else has been answered by then.

        A call that begins again, after a wait for its model, keeps its first deadline.
        """
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        error = RpcError(Status.DEADLINE_EXCEEDED, "Deadline Exceeded")
        self._timer = loop.call_later(seconds, self.settle, error)

    def settle(self, outcome: Any) -> None:
        """Answer with a response, or with what an error becomes."""
        if self.over:
            return
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        self.exchange(outcome if isinstance(outcome, Response) else fail(outcome))

    def cancel(self) -> None:
        """Nobody waits any more. The answer goes nowhere, but log and trace are told of it."""
        self.settle(RpcError(Status.CANCELLED, "the client has left"))

    def gone(self) -> bool:
        """Whether nobody waits any more, as far as the wire knows."""
        has_left = self.exchange.gone()
        return self.over or (has_left is not None and has_left())
