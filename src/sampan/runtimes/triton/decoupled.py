"""Models that answer a request any number of times (Triton, "Decoupled Backends and Models").

`execute` gets a request with a response sender, and responses may be sent from any thread, also
after it has returned. The last one has the final flag, or nobody holds the sender any more.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from sampan.protocol.tensors import InferRequest, InferResponse

FINAL = 1
"""`TRITONSERVER_RESPONSE_COMPLETE_FINAL`."""


_LAST = "triton_final_response"
_WANTS_END = "triton_enable_empty_final_response"


def wants_end(payload: Any) -> bool:
    """Whether a client asks for an answer without outputs where the last one was not told so."""
    return isinstance(payload, InferRequest) and bool((payload.parameters or {}).get(_WANTS_END))


def mark(answer: Any, *, final: bool) -> Any:
    """Return an answer that tells whether it is the last, where it is one of V2."""
    if isinstance(answer, InferResponse):
        answer.parameters = {**(answer.parameters or {}), _LAST: final}
    return answer


class Sent(NamedTuple):
    """What was sent: a response or none, whether it is the last, what went wrong in its place."""

    response: Any = None
    final: bool = False
    error: Exception | None = None


class Responses:
    """What a request was answered with, in its order; put by any thread, taken on one loop."""

    def __init__(self) -> None:
        self.left = False
        """Whether nobody waits any more."""
        # Nothing is made while it is held: to make an object may collect a sender, which puts.
        self._lock = threading.Lock()
        self._sent: deque[Sent] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._over = False

    def put(self, sent: Sent) -> bool:
        """Add what was sent; False where the last was there before."""
        with self._lock:
            if self._over:
                return False
            self._over = sent.final or sent.error is not None
            self._sent.append(sent)
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.get_loop().call_soon_threadsafe(_wake, waiting)
        return True

    def __aiter__(self) -> AsyncIterator[Sent]:
        return self

    async def __anext__(self) -> Sent:
        while True:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            with self._lock:
                sent, over = self._sent.popleft() if self._sent else None, self._over
                if sent is None and not over:
                    self._waiting = waiting
            if sent is not None:
                return sent
            if over:
                raise StopAsyncIteration
            await waiting

    async def aclose(self) -> None:
        """Tell the model, where it asks, that nobody waits any more."""
        self.left = True


class ResponseSender:
    """`InferenceResponseSender`: what a model sends its responses by. Names are Triton's."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    def send(self, response: Any = None, flags: int = 0) -> None:
        """Send a response, with the final flag as the last; the flag may come alone."""
        if response is None and not flags & FINAL:
            raise ValueError("nothing to send: give a response, or the final flag")
        if not self._responses.put(Sent(response, bool(flags & FINAL))):
            raise RuntimeError("Unable to send response. Response sender has been closed.")

    def is_cancelled(self) -> bool:
        """Whether the client has left."""
        return self._responses.left

    def __del__(self) -> None:
        self._responses.put(Sent(final=True))


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
