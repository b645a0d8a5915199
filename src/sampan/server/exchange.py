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
from sampan.server.reading import REQUEST_ID
from sampan.wire.message import Reply, Request, Response

if TYPE_CHECKING:
    from sampan.server.tracing import Tracing

_WELL_FORMED = re.compile(rb"[\x21-\x7e]{1,128}")


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

    def of_answers(self) -> Observation | None:
        """Return this where it asks for something that an answer tells, else None."""
        asked = self.access_log is not None or self.tracing is not None or self.server_timing
        return self if asked else None


class _RequestIds:
    """Ids that no other request has: random for the process, then a count. Cheaper than UUIDs."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)  # children do not share a prefix

    def renew(self) -> None:
        """Begin anew with another prefix."""
        self._form = os.urandom(8).hex().encode() + b"-%x"
        self._numbers = count(1)

    def make(self) -> bytes:
        """Return a new one."""
        return self._form % next(self._numbers)


make_request_id = _RequestIds().make


class Exchange:
    """Answers a request once, with its id; `inference` is set by the route that has one."""

    __slots__ = (
        "_observation",
        "_reply",
        "answered_at",
        "begun",
        "inference",
        "request",
        "request_id",
        "response",
        "sent",
        "span",
        "stamp",
    )

    def __init__(
        self,
        request: Request,
        reply: Reply,
        observation: Observation | None,
        identified: bool = True,
    ) -> None:
        self.request: Request = request
        self.inference: Inference | None = None
        self.begun: float = 0.0 if observation is None else perf_counter()
        self.response: Response | None = None
        self.sent: int = 0
        self.span: Any = None
        self._reply = reply
        self._observation = observation
        self.answered_at: float = 0.0
        given = request.header(REQUEST_ID) if identified else None
        if given is None or _WELL_FORMED.fullmatch(given) is None:
            given = make_request_id()
            request.add(REQUEST_ID, given)  # the model sees it, and can pass it on
        self.request_id: bytes = given
        self.stamp: tuple[tuple[bytes, bytes], ...] = ((REQUEST_ID, given),)
        """What every answer carries. One that begins with it is not made anew to add it."""

    def gone(self) -> Callable[[], bool] | None:
        """Return what tells whether the client has left, where the wire knows.

        It does not hold the exchange, which holds the inference that will hold it: no cycles, so
        that a request's memory is free at its end, without the collector.
        """
        return getattr(self._reply, "gone", None)

    def __call__(self, response: Response) -> None:
        """Answer. More answers than one go nowhere, as with any reply."""
        if self.answered_at:
            self._reply(response)
            return
        self.answered_at = perf_counter()
        if response.headers[:1] != self.stamp:
            response = response._replace(headers=(*response.headers, *self.stamp))
        if self._observation is not None:
            response = self._observed(response, self._observation)
        self._reply(response)

    def _observed(self, response: Response, observation: Observation) -> Response:
        """Return the response as it is sent, with its timing; log and trace are told of it."""
        if observation.server_timing:
            timing = (b"server-timing", render_timing(self))
            response = response._replace(headers=(*response.headers, timing))
        self.response = response
        self.sent = len(response.body)
        if response.chunks is not None:
            return response._replace(chunks=_Watched(response.chunks, self))
        self._end()
        return response

    def ended(self, response: Response, sent: int) -> None:
        """Tell log and trace of an answer that somebody else has sent, `sent` bytes of it."""
        self.answered_at = perf_counter()
        self.response, self.sent = response, sent
        self._end()

    def phases(self) -> list[tuple[str, float]]:
        """Return the steps of the model that have run, with their seconds."""
        inference = self.inference
        return inference.ran.phases() if inference is not None and inference.ran is not None else []

    def _end(self) -> None:
        observation = self._observation
        if observation is None:
            return
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
