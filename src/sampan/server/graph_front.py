"""The front of a graph's router: requests in, the graph's answers out.

KServe, router: any path and any method goes through the graph, but `/readyz`, which is asked
whether the router serves; here `GET /metrics` besides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from sampan.router.answers import error_body, select_content_type
from sampan.router.body import text_of
from sampan.router.execute import execute
from sampan.router.graph import Graph
from sampan.router.headers import Header, Pattern, make_selection
from sampan.router.steps import RouterError, Walk
from sampan.router.walk import Cancel, Done, Hands, Result, Run
from sampan.server.graph_calls import Caller, make_later
from sampan.server.graph_rpc import PLAIN
from sampan.server.metrics import CONTENT_TYPE
from sampan.wire.message import Reply, Request, Response

if TYPE_CHECKING:
    from sampan.server.graph_tracing import GraphTracing, TracedRequest

logger = logging.getLogger("sampan.route")

_TYPE = b"content-type"
RPC_SPAN = "inference.GRPCInferenceService/ModelInfer"
"""What a request is called in traces that came by gRPC."""
_OWN = (b"/readyz", b"/metrics")
_READY = Response(200, b"", b"")
_NO_HEADERS: list[Header] = []  # never written to
_STOPPING = Response(503, b"shutting down", b"text/plain; charset=utf-8")


class GraphFront:
    """The application that a wire submits requests to. Set `stopping` to be no longer ready."""

    def __init__(
        self,
        graph: Graph,
        caller: Caller,
        patterns: Sequence[Pattern],
        draw: Callable[[], int],
        tracing: GraphTracing | None = None,
    ) -> None:
        self._later = make_later(caller.loop)
        self._walk = Walk(graph, draw)
        self._caller = caller
        self._metrics = caller.metrics
        self._metrics.dropped = lambda: self._walk.gate.refused
        self._select = make_selection(patterns)
        # Of requests that pass on no header:
        self._plain = Hands(caller.make_ask(()), self._later)
        self._plain_rpc = Hands(caller.make_ask(PLAIN), self._later)
        self._tracing = tracing
        self.stopping = False

    def submit(self, request: Request, reply: Reply) -> None:
        """Answer a request, now or later; a client that leaves calls its steps off."""
        if request.target.startswith(_OWN):
            own = self._answer_own(request)
            if own is not None:
                reply(own)
                return
        headers = self._select_headers(request)
        answer = partial(self._answer, reply)
        if self._tracing is None:
            cancel = self._start(self._walk, headers, request.body, answer)
        else:
            traced = self._trace(f"{request.method.decode('latin-1')} graph", request.headers)
            cancel = self._start(self._walk, headers, request.body, answer, traced)
        watch = getattr(reply, "when_gone", None)
        if watch is not None and cancel is not None:
            watch(cancel)

    def _select_headers(self, request: Request) -> list[Header]:
        """Return the headers that go on. That none does is noted of the head: names decide, and
        those of a known head are always the same.
        """
        note = request.note
        known: object = None if note is None else note.value
        if known is _NO_HEADERS:
            return _NO_HEADERS
        headers = self._select(request.headers)
        if note is not None and not headers:
            note.value = _NO_HEADERS
        return headers

    @property
    def graph(self) -> Graph:
        """The graph that is served."""
        return self._walk.graph

    def take(
        self,
        headers: Sequence[Header],
        body: bytes,
        kind: bytes,
        done: Done,
        *,
        streams: bool = False,
    ) -> Cancel:
        """Send a body of a content type through the graph; `done` is told the answer, unless it is
        called off by what is returned. It is whole, unless it `streams` as it comes.
        """

        selected = self._select_beside_type(headers)
        selected.append((_TYPE, kind))
        traced = None if self._tracing is None else self._trace(RPC_SPAN, headers)
        walk = self._walk if streams else self._walk.middle
        return self._start(walk, selected, body, partial(self._count, done), traced) or _nothing

    def passes(self, headers: Sequence[Header]) -> bool:
        """Tell whether anything but a gRPC message goes on of a request with these headers."""
        return self._tracing is not None or bool(self._select_beside_type(headers))

    def take_plain(self, message: bytes, done: Done) -> Cancel | None:
        """Send a gRPC message through the graph with which nothing goes on, as `take` does."""
        run = Run(execute(self._walk.middle, message), self._plain_rpc, partial(self._count, done))
        run.start()
        return None if run.over else run.cancel

    def _count(self, done: Done, result: Result) -> None:
        self._metrics.count(result.status)
        if isinstance(result, RouterError):
            logger.warning("%s", result.cause)
        done(result)

    def _select_beside_type(self, headers: Sequence[Header]) -> list[Header]:
        return [(name, value) for name, value in self._select(headers) if name != _TYPE]

    def _start(
        self,
        walk: Walk,
        headers: Sequence[Header],
        body: bytes,
        done: Done,
        traced: TracedRequest | None = None,
    ) -> Cancel | None:
        """Let a body go through the graph; return what calls it off, None where it is over."""
        if traced is not None:
            return self._start_traced(walk, headers, body, done, traced)
        hands = Hands(self._caller.make_ask(headers), self._later) if headers else self._plain
        run = Run(execute(walk, body), hands, done)
        run.start()
        return None if run.over else run.cancel

    def _start_traced(
        self,
        walk: Walk,
        headers: Sequence[Header],
        body: bytes,
        done: Done,
        traced: TracedRequest,
    ) -> Cancel | None:
        def settle(result: Result) -> None:
            traced.end(result)
            done(result)

        run = Run(execute(walk, body), Hands(traced.make_ask(headers), self._later), settle)
        run.start()

        def leave() -> None:
            if not run.over:
                run.cancel()
                traced.leave()

        return None if run.over else leave

    def _trace(self, name: str, headers: Sequence[Header]) -> TracedRequest | None:
        tracing = self._tracing
        return tracing.begin(name, headers, self._caller.make_ask) if tracing else None

    def _answer_own(self, request: Request) -> Response | None:
        """Return the answer to what is asked of the router itself."""
        if request.target.partition(b"?")[0] == b"/readyz":
            return _STOPPING if self.stopping else _READY
        if request.target == b"/metrics" and request.method == b"GET":
            return Response(200, self._metrics.render(), CONTENT_TYPE)
        return None

    def _answer(self, reply: Reply, result: Result) -> None:
        self._metrics.count(result.status)
        if isinstance(result, RouterError):
            logger.warning("%s", result.cause)
            reply(Response(result.status, error_body(result)))
        else:
            content_type = select_content_type(result)
            reply(Response(result.status, text_of(result.body), content_type, chunks=result.chunks))


def _nothing() -> None:
    """Call off what is over."""
