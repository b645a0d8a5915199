"""Traces of a graph: a span for each request, below it one for each call of a step.

The trace of the caller goes on, and each step is told its call's span (`traceparent`), so that what
the step does is part of the same trace. Off unless the environment asks for traces (`tracing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sampan.router.answers import without_credentials
from sampan.router.headers import TRACE, Header
from sampan.router.steps import Call, RouterError
from sampan.router.walk import Ask, Cancel, Done, Result
from sampan.server.tracing import Tracing

MakeAsk = Callable[[Sequence[Header]], Ask]
"""Returns what makes the calls of one request, whose headers go on to every step."""


class GraphTracing:
    """Makes the spans of a graph's requests."""

    def __init__(self, tracing: Tracing) -> None:
        from opentelemetry import propagate, trace

        self._tracer, self._propagate, self._trace = tracing.tracer, propagate, trace

    def begin(self, name: str, headers: Sequence[Header], make_ask: MakeAsk) -> TracedRequest:
        """Begin the span of a request that came with these headers."""
        texts = {key.decode("latin-1"): value.decode("latin-1") for key, value in headers}
        parent = self._propagate.extract(texts)
        span = self._tracer.start_span(name, context=parent, kind=self._trace.SpanKind.SERVER)
        return TracedRequest(self, span, make_ask)

    def begin_call(self, call: Call, request: Any) -> Any:
        """Begin the span of a step's call, below its request's."""
        step = call.step
        attributes = {
            "sampan.graph.node": step.node,
            "sampan.graph.step": step.key,
            "url.full": without_credentials(step.url).partition("?")[0],
        }
        within = self._trace.set_span_in_context(request)
        return self._tracer.start_span(
            f"{step.node}/{step.key}",
            context=within,
            kind=self._trace.SpanKind.CLIENT,
            attributes=attributes,
        )

    def inject(self, span: Any) -> list[Header]:
        """Return the headers by which somebody else goes on with a span."""
        told: dict[str, str] = {}
        self._propagate.inject(told, self._trace.set_span_in_context(span))
        return [(name.encode(), value.encode()) for name, value in told.items()]

    def end(self, span: Any, result: Result) -> None:
        """End a span with what came of it."""
        if isinstance(result, RouterError):
            span.set_attribute("error.message", result.cause)
        else:
            span.set_attribute("http.response.status_code", result.status)
        if isinstance(result, RouterError) or result.status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()


class TracedRequest:
    """One request, with its span and those of its calls."""

    def __init__(self, tracing: GraphTracing, span: Any, make_ask: MakeAsk) -> None:
        self._tracing = tracing
        self._span = span
        self._make_ask = make_ask

    def make_ask(self, headers: Sequence[Header]) -> Ask:
        """Return what makes the request's calls, each with a span that its step is told of."""
        kept = [header for header in headers if header[0] not in TRACE]
        return partial(self._ask, kept)

    def end(self, result: Result) -> None:
        """End the request's span: it is answered, or its answer begins."""
        self._tracing.end(self._span, result)

    def leave(self) -> None:
        """End the request's span: its client has left."""
        self._span.set_attribute("sampan.called_off", True)
        self._span.end()

    def _ask(self, headers: Sequence[Header], call: Call, done: Done) -> Cancel:
        span = self._tracing.begin_call(call, self._span)

        def tell(result: Result) -> None:
            self._tracing.end(span, result)
            done(result)

        ask = self._make_ask([*headers, *self._tracing.inject(span)])
        cancel = ask(call, tell)

        def call_off() -> None:
            if span.is_recording():  # else it has ended
                span.set_attribute("sampan.called_off", True)
                span.end()
            cancel()

        return call_off
