"""Calling the steps of a graph: what is sent to each, and what its answer is to the graph.

KServe, router: every step is a POST of a body to its URL, whatever the client's method was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from sampan.machinery.web_address import RPC_SCHEMES, InvalidAddress, parse_step_address
from sampan.router.body import Body, text_of
from sampan.router.graph import Graph, InvalidGraph, Step
from sampan.router.headers import Header
from sampan.router.options import MIRROR_SECONDS
from sampan.router.steps import Call, Outcome, RouterError
from sampan.router.walk import Cancel, Done, Later
from sampan.server.graph_local import LOCAL, LocalTarget
from sampan.server.graph_metrics import GraphMetrics, StepMetrics
from sampan.server.graph_rpc import RpcTarget
from sampan.server.graph_rpc_stream import RpcStreamTarget
from sampan.wire.brief_wait import BriefWait
from sampan.wire.message import Submit
from sampan.wire.upstream import Pool, Upstreams
from sampan.wire.upstream_answer import Answer, CallFailed

if TYPE_CHECKING:
    from sampan.server.graph_gathered import Gathered
    from sampan.server.graph_models import LocalModels

_JSON_TYPE = b"content-type: application/json\r\n"


class Target(NamedTuple):
    """Where a step's calls go: connections with the first lines of each request, a model of this
    process, or one that is asked by gRPC; and who counts.

    `seconds` bounds a call; `own` are the headers that the step sets itself. `gathered` takes the
    plainest calls of a model of this process together.
    """

    asked: Pool | LocalTarget | RpcTarget
    first: bytes
    metrics: StepMetrics
    seconds: float | None
    own: tuple[Header, ...]
    gathered: Gathered | None = None


class Caller:
    """Makes the calls of a graph's steps. Made and used on its loop's thread."""

    def __init__(
        self,
        graph: Graph,
        upstreams: Upstreams,
        local: Submit | None = None,
        models: LocalModels | None = None,
    ) -> None:
        """`local` answers the steps of this process, and `models` are whom it asks.

        Raise InvalidGraph.
        """
        self._local = local
        self._models = models
        self.metrics = GraphMetrics()
        self.loop = upstreams.loop
        self._upstreams = upstreams
        self._wait = BriefWait(self.loop)
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
        asked, first, metrics, seconds, own, gathered = self._targets[id(step)]
        if gathered is not None and not headers:
            cancel = gathered.call(body, done)
            if cancel is not None:
                return cancel
        if own:
            names = {name for name, _ in own}
            headers = (*own, *(header for header in headers if header[0] not in names))
            fields = render_fields(headers)
        told = partial(_tell, step, done, metrics, perf_counter())
        if isinstance(asked, LocalTarget):
            return asked.call(headers, body, seconds, told, streams=ends)
        body = text_of(body)
        if isinstance(asked, RpcStreamTarget):
            cancel = asked.call(headers, body, seconds, told, streams=ends)
        elif isinstance(asked, RpcTarget):
            cancel = asked.call(headers, body, seconds, told)
        else:
            head = b"%b%bcontent-length: %d\r\n\r\n" % (first, fields, len(body))
            cancel = asked.call(head, body, seconds, told, streams=ends)
        self._wait.asked()  # after the call: what it writes when the loop turns goes before
        return cancel

    def _make_gathered(
        self, step: Step, local: LocalTarget, metrics: StepMetrics
    ) -> Gathered | None:
        """Return what takes the plainest calls of a step together, where something may."""

        def as_request(body: Body, done: Done, began: float) -> Cancel:
            return local.call((), body, None, partial(_tell, step, done, metrics, began))

        path = step.url.removeprefix(LOCAL)
        models = self._models
        return models.gather(path, metrics, as_request) if models else None

    def _make_local(self, path: str, submit: Submit) -> LocalTarget:
        """Return what asks this process; values are handed to whom they may be handed."""
        handed = self._models.target(path) if self._models is not None else None
        return handed or LocalTarget(submit, path.encode(), self.loop)

    def _make_target(self, step: Step, seconds: float | None) -> Target:
        options = step.options
        usual = MIRROR_SECONDS if options.mirror and seconds is None else seconds
        limit = usual if options.timeout is None else options.timeout
        if step.url.startswith(LOCAL) and self._local is not None:
            local = self._make_local(step.url.removeprefix(LOCAL), self._local)
            metrics = self.metrics.step(step)
            plain = limit is None and not options.headers
            gathered = self._make_gathered(step, local, metrics) if plain else None
            return Target(local, b"", metrics, limit, options.headers, gathered)
        try:
            address = parse_step_address(step.url)
        except InvalidAddress as error:
            raise InvalidGraph(f'step "{step.key}" of node "{step.node}": {error}') from None
        if step.url.startswith(tuple(RPC_SCHEMES)):
            rpc = self._upstreams.http2_pool(address.origin)
            kind = RpcStreamTarget if options.stream else RpcTarget
            asked = kind(rpc, address, self._upstreams.limits.body_bytes)
            return Target(asked, b"", self.metrics.step(step), limit, options.headers)
        first = b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (address.target, address.authority)
        pool = self._upstreams.pool(address.origin)
        return Target(pool, first, self.metrics.step(step), limit, options.headers)


def make_later(loop: asyncio.AbstractEventLoop) -> Later:
    """Return what calls something after so many seconds of a loop."""
    return lambda seconds, call: loop.call_later(seconds, call).cancel


def render_fields(headers: Sequence[Header]) -> bytes:
    """Return header lines; the content type is JSON where none of them says another."""
    if not headers:
        return _JSON_TYPE
    lines = [name + b": " + value + b"\r\n" for name, value in headers]
    if not any(name == b"content-type" for name, _ in headers):
        lines.append(_JSON_TYPE)
    return b"".join(lines)


def _tell(
    step: Step,
    done: Done,
    metrics: StepMetrics,
    began: float,
    result: Answer | Outcome | CallFailed,
) -> None:
    seconds = perf_counter() - began
    if isinstance(result, Outcome):
        metrics.count(result.status, seconds)
        done(result)
    elif isinstance(result, Answer):
        metrics.count(result.status, seconds)
        done(Outcome(result.status, result.body, result.content_type, result.chunks))
    else:
        metrics.count(result.reason, seconds)
        cause = f'step "{step.key}" of node "{step.node}": {result.message}'
        done(RouterError(cause, step=step))
