"""Calling the steps of a graph: what is sent to each, and what its answer is to the graph.

KServe, router: every step is a POST of a body to its URL, whatever the client's method was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Sequence
from functools import partial
from time import perf_counter
from typing import NamedTuple

from sampan.machinery.web_address import InvalidAddress, parse_address
from sampan.router.graph import Graph, InvalidGraph, Step
from sampan.router.headers import Header
from sampan.router.options import MIRROR_SECONDS
from sampan.router.steps import Call, Outcome, RouterError
from sampan.router.walk import Cancel, Done, Later
from sampan.server.graph_metrics import GraphMetrics, StepMetrics
from sampan.wire.upstream import Pool, Upstreams
from sampan.wire.upstream_answer import Answer, CallFailed

_TYPE = b"content-type"
_JSON_TYPE = b"content-type: application/json\r\n"


class Target(NamedTuple):
    """Where a step's calls go: the connections, the first lines of each request, who counts.

    `seconds` bounds a call; `own` are the names of headers that the step sets itself.
    """

    pool: Pool
    first: bytes
    metrics: StepMetrics
    seconds: float | None
    own: frozenset[bytes]


class Caller:
    """Makes the calls of a graph's steps. Made and used on its loop's thread."""

    def __init__(self, graph: Graph, upstreams: Upstreams) -> None:
        self.metrics = GraphMetrics()
        self.loop = upstreams.loop
        self._upstreams = upstreams
        self._targets = {
            id(step): self._make_target(step, graph.timeouts.service_client)
            for step in graph.steps()
            if step.url
        }

    def make_ask(self, headers: Sequence[Header]) -> Callable[[Call, Done], Cancel]:
        """Return what makes the calls of one request, whose headers go on to every step."""
        return partial(self._ask, headers, render_fields(headers))

    def _ask(self, headers: Sequence[Header], fields: bytes, call: Call, done: Done) -> Cancel:
        step, body, ends = call
        pool, first, metrics, seconds, own = self._targets[id(step)]
        if own:
            fields = render_fields([h for h in headers if h[0] not in own], own)
        head = b"%b%bcontent-length: %d\r\n\r\n" % (first, fields, len(body))
        told = partial(_tell, step, done, metrics, perf_counter())
        return pool.call(head, body, seconds, told, streams=ends)

    def _make_target(self, step: Step, seconds: float | None) -> Target:
        try:
            address = parse_address(step.url)
        except InvalidAddress as error:
            raise InvalidGraph(f'step "{step.key}" of node "{step.node}": {error}') from None
        options = step.options
        lines = [name + b": " + value + b"\r\n" for name, value in options.headers]
        first = b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (address.target, address.authority)
        usual = MIRROR_SECONDS if options.mirror and seconds is None else seconds
        return Target(
            self._upstreams.pool(address.origin),
            b"".join((first, *lines)),
            self.metrics.step(step),
            usual if options.timeout is None else options.timeout,
            frozenset(name for name, _ in options.headers),
        )


def make_later(loop: asyncio.AbstractEventLoop) -> Later:
    """Return what calls something after so many seconds of a loop."""
    return lambda seconds, call: loop.call_later(seconds, call).cancel


def render_fields(headers: Sequence[Header], said: Container[bytes] = ()) -> bytes:
    """Return header lines; the content type is JSON where none of them says another.

    `said` are names of headers that are said elsewhere.
    """
    if not headers and not said:
        return _JSON_TYPE
    lines = [name + b": " + value + b"\r\n" for name, value in headers]
    if _TYPE not in said and not any(name == _TYPE for name, _ in headers):
        lines.append(_JSON_TYPE)
    return b"".join(lines)


def _tell(
    step: Step, done: Done, metrics: StepMetrics, began: float, result: Answer | CallFailed
) -> None:
    seconds = perf_counter() - began
    if isinstance(result, Answer):
        metrics.count(result.status, seconds)
        done(Outcome(result.status, result.body, result.content_type, result.chunks))
    else:
        metrics.count(result.reason, seconds)
        cause = f'step "{step.key}" of node "{step.node}": {result.message}'
        done(RouterError(cause, step=step))
