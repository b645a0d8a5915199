"""One request through a graph, with what was sent and answered on each edge.

The steps are asked from here, by the router's own core, so that nothing of a running router has to
tell anybody what its clients send.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sampan.router.body import text_of
from sampan.router.execute import execute
from sampan.router.graph import make_graph
from sampan.router.steps import Call, Outcome, RouterError, Walk
from sampan.router.walk import Cancel, Done, Hands, Result, Run
from sampan.server.graph_calls import Caller, make_later
from sampan.wire.upstream import Upstreams


@dataclass(slots=True)
class Edge:
    """One call. Times are seconds since the request began; `ended` is None where it was called off
    or is under way.
    """

    node: str
    step: str
    url: str
    sent: bytes
    began: float
    ended: float | None = None
    status: int = 0
    answered: bytes = b""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The edges in the order in which they were asked, and the graph's own answer."""

    edges: tuple[Edge, ...]
    result: Result
    seconds: float


async def inspect_graph(spec: Mapping[str, Any], body: bytes) -> Inspection:
    """Send a request through a graph whose steps have addresses; raise InvalidGraph."""
    loop = asyncio.get_running_loop()
    graph = make_graph(spec)
    upstreams = Upstreams(loop)
    recorder = _Recorder(Caller(graph, upstreams).make_ask(()), loop.time)
    hands = Hands(recorder.ask, make_later(loop))
    done: asyncio.Future[Result] = loop.create_future()
    draw = random.Random().randrange  # noqa: S311  # shares of traffic, no secret
    way = execute(Walk(graph, lambda: draw(100), ends=False), body)
    run = Run(way, hands, done.set_result)
    try:
        run.start()
        result = await done
    finally:
        run.cancel()
        upstreams.close()
    return Inspection(tuple(recorder.edges), result, loop.time() - recorder.start)


class _Recorder:
    """Makes calls as another does, and notes them."""

    def __init__(self, ask: Callable[[Call, Done], Cancel], now: Callable[[], float]) -> None:
        self._ask = ask
        self._now = now
        self.start = now()
        self.edges: list[Edge] = []

    def ask(self, call: Call, done: Done) -> Cancel:
        step = call.step
        edge = Edge(step.node, step.key, step.url, text_of(call.body), self._now() - self.start)
        self.edges.append(edge)
        return self._ask(call, partial(self._note, edge, done))

    def _note(self, edge: Edge, done: Done, result: Result) -> None:
        edge.ended = self._now() - self.start
        if isinstance(result, RouterError):
            edge.cause = result.cause
        elif isinstance(result, Outcome):
            edge.status, edge.answered = result.status, text_of(result.body)
        done(result)
