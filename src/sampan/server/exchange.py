"""One request and its answer, as they are observed: request id, timings, access log, trace.

Ids are always on, and all that they cost is a counter and one header. What is off costs nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sampan.server.access_log import AccessLog
from sampan.server.job import Inference
from sampan.wire.message import Reply, Request, Response

if TYPE_CHECKING:
    from sampan.server.tracing import Tracing

REQUEST_ID = b"x-request-id"
_WELL_FORMED = re.compile(rb"[\x21-\x7e]{1,128}")
_numbers = count(1)
_prefix = (0, b"")


@dataclass(frozen=True, slots=True)
class Observation:
    """What is observed of requests beyond ids and metrics.

    `debug` sends stacks to clients; `docs` serves the page that tries models out.
    """

    access_log: AccessLog | None = None
    server_timing: bool = False
    tracing: Tracing | None = None
    debug: bool = False
    docs: bool = False


def make_request_id() -> bytes:
    """Return an id that no other request has: random for the process, then a count.

    Cheaper than a UUID by far. Made anew after a fork, so that children do not share a prefix.
    """
    global _prefix  # noqa: PLW0603  # one per process, and a fork makes another
    pid = os.getpid()
    if _prefix[0] != pid:
        _prefix = (pid, os.urandom(8).hex().encode())
    return b"%b-%x" % (_prefix[1], next(_numbers))


class Exchange:
    """Answers a request once, with its id; `inference` is set by the route that has one."""

    __slots__ = (
        "_observation",
        "_reply",
        "answered_at",
        "begun",
        "gone",
        "inference",
        "request",
        "request_id",
        "response",
        "sent",
        "span",
    )

    def __init__(self, request: Request, reply: Reply, observation: Observation) -> None:
        self.request: Request = request
        self.inference: Inference | None = None
        self.begun: float = perf_counter()
        self.response: Response | None = None
        self.sent: int = 0
        self.span: Any = None
        self.gone: Callable[[], bool] | None = getattr(reply, "gone", None)
        """Tells whether the client has left, where the wire knows."""
        self._reply = reply
        self._observation = observation
        self.answered_at: float = 0.0
        given = request.header(REQUEST_ID)
        if given is None or _WELL_FORMED.fullmatch(given) is None:
            given = make_request_id()
            request.headers.append((REQUEST_ID, given))  # the model sees it, and can pass it on
        self.request_id: bytes = given

    def __call__(self, response: Response) -> None:
        """Answer. More answers than one go nowhere, as with any reply."""
        if self.answered_at:
            self._reply(response)
            return
        self.answered_at = perf_counter()
        status, body, content_type, headers, trailers, chunks = response
        headers = (*headers, (REQUEST_ID, self.request_id))
        observation = self._observation
        if observation.server_timing:
            headers = (*headers, (b"server-timing", render_timing(self)))
        if observation.access_log is not None or observation.tracing is not None:
            self.response = response._replace(headers=headers)
            self.sent = len(body)
            if chunks is None:
                self._end()
            else:
                chunks = _Watched(chunks, self)
        self._reply(Response(status, body, content_type, headers, trailers, chunks))

    def phases(self) -> list[tuple[str, float]]:
        """Return the steps of the model that have run, with their seconds."""
        inference = self.inference
        return inference.ran.phases() if inference is not None and inference.ran is not None else []

    def _end(self) -> None:
        observation = self._observation
        if observation.access_log is not None and self.response is not None:
            observation.access_log.write(self, self.response)
        if observation.tracing is not None:
            observation.tracing.end(self)


def render_timing(exchange: Exchange) -> bytes:
    """Return the `Server-Timing` of an exchange so far, in milliseconds (W3C Server Timing)."""
    parts = [f"{name};dur={seconds * 1e3:.3f}" for name, seconds in exchange.phases()]
    parts.append(f"total;dur={(exchange.answered_at - exchange.begun) * 1e3:.3f}")
    return ", ".join(parts).encode()


class _Watched:
    """Chunks that tell their exchange of the end, however it comes."""

    def __init__(self, chunks: AsyncIterator[bytes], exchange: Exchange) -> None:
        self._chunks = chunks
        self._exchange: Exchange | None = exchange

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> bytes:
        piece = await anext(self._chunks)
        if self._exchange is not None:
            self._exchange.sent += len(piece)
        return piece

    async def aclose(self) -> None:
        """Close the chunks; the exchange is over."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange._end()  # noqa: SLF001  # the other half of one thing
        ending = getattr(self._chunks, "aclose", None)
        if ending is not None:
            await ending()
