"""Calling the steps of a graph: what is sent to each, and what its answer is to the graph.

KServe, router: every step is a POST of a body to its URL, whatever the client's method was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import NamedTuple

from sampan.machinery.web_address import InvalidAddress, parse_address
from sampan.router.graph import Graph, InvalidGraph, Step
from sampan.router.headers import Header
from sampan.router.steps import Call, Outcome, RouterError
from sampan.router.walk import Cancel, Done
from sampan.server.graph_metrics import GraphMetrics, StepMetrics
from sampan.wire.upstream import Pool, Upstreams
from sampan.wire.upstream_answer import Answer, CallFailed

_JSON_TYPE = b"content-type: application/json\r\n"


class Target(NamedTuple):
    """Where a step's calls go: the connections, the first lines of each request, who counts."""

    pool: Pool
    first: bytes
    metrics: StepMetrics


class Caller:
    """Makes the calls of a graph's steps. Made and used on its loop's thread."""

    def __init__(self, graph: Graph, upstreams: Upstreams) -> None:
        self._seconds = graph.timeouts.service_client
        self.metrics = GraphMetrics()
        self._targets = {
            id(step): _make_target(step, upstreams, self.metrics)
            for step in graph.steps()
            if step.url
        }

    def make_ask(self, headers: Sequence[Header]) -> Callable[[Call, Done], Cancel]:
        """Return what makes the calls of one request, whose headers go on to every step."""
        return partial(self._ask, render_fields(headers))

    def _ask(self, fields: bytes, call: Call, done: Done) -> Cancel:
        step, body, ends = call
        pool, first, metrics = self._targets[id(step)]
        head = b"%b%bcontent-length: %d\r\n\r\n" % (first, fields, len(body))
        told = partial(_tell, step, done, metrics, perf_counter())
        return pool.call(head, body, self._seconds, told, streams=ends)


def render_fields(headers: Sequence[Header]) -> bytes:
    """Return header lines; the content type is JSON where none of them says another."""
    if not headers:
        return _JSON_TYPE
    lines = [name + b": " + value + b"\r\n" for name, value in headers]
    if not any(line.startswith(b"content-type:") for line in lines):
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


def _make_target(step: Step, upstreams: Upstreams, metrics: GraphMetrics) -> Target:
    try:
        address = parse_address(step.url)
    except InvalidAddress as error:
        raise InvalidGraph(f'step "{step.key}" of node "{step.node}": {error}') from None
    first = b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (address.target, address.authority)
    return Target(upstreams.pool(address.origin), first, metrics.step(step))
