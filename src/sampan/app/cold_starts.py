"""What cold starts cost: for `/metrics` a histogram of each phase, and a trace over OTLP.

An observation and a span a start, of the request that waited longest.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from sampan.activator.phases import PHASES
from sampan.app.operator_health import Took
from sampan.gateway.held import TRACE_HEADER
from sampan.server.metrics_process import render_process

if TYPE_CHECKING:
    from sampan.server.tracing import Tracing


class ColdStarts:
    """Counts the cold starts of a daemon's life, and traces them where that is asked for."""

    def __init__(self, tracing: Tracing | None = None) -> None:
        self._spans = ColdStartSpans(tracing) if tracing else None
        self._phases = Took(
            "sampan_cold_start_seconds",
            "Where the first request of a cold start waited",
            "phase",
        )

    def note(self, workload: str, phases: tuple[float, ...], caller: str = "") -> None:
        """Take in one that is just over: the phases of the request that waited longest.

        No label names the workload, which would make series of each; its span does.
        """
        if self._spans:
            self._spans.note(workload, phases, caller)
        for name, seconds in zip(PHASES, phases, strict=True):
            self._phases.note(name, seconds)
        self._phases.note("all", sum(phases))

    def render(self) -> list[str]:
        """Return them and what the daemon uses, in lines of Prometheus's text format."""
        return [*self.render_phases(), *render_process()]

    def render_phases(self) -> list[str]:
        """Return them alone."""
        return self._phases.render()


class ColdStartSpans:
    """Makes the spans of a start afterwards, from what it took: one for all, one for each phase."""

    def __init__(self, tracing: Tracing) -> None:
        from opentelemetry import context, propagate, trace

        self._tracer, self._propagate, self._trace = tracing.tracer, propagate, trace
        self._nothing = context.Context()

    def note(self, workload: str, phases: tuple[float, ...], caller: str) -> None:
        """Make those of a start that is over now; they go on in the trace of `caller`."""
        took = [int(seconds * 1e9) for seconds in phases]
        end = time_ns()
        at = end - sum(took)
        parent = self._propagate.extract({TRACE_HEADER: caller}, self._nothing)
        namespace, _, name = workload.partition("/")
        told = {"k8s.namespace.name": namespace, "sampan.workload": name}
        whole = self._tracer.start_span("cold start", parent, attributes=told, start_time=at)
        within = self._trace.set_span_in_context(whole, self._nothing)
        for phase, nanoseconds in zip(PHASES, took, strict=True):
            span = self._tracer.start_span(phase, within, start_time=at)
            at += nanoseconds
            span.end(at)
        whole.end(end)
