"""The operator's traces over OTLP, where the environment (`OTEL_*`) asks for them.

A reconcile is a span, and each call of the API server that it makes is one below it. Calls outside
of a reconcile (the lease, lists, watches) have none: they would hide all others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from sampan.operator.connection import Connection
from sampan.operator.work import Work

if TYPE_CHECKING:
    from sampan.server.tracing import Tracing


def make_tracing() -> Tracing | None:
    """Return the tracing that is asked for; who does not ask imports nothing of it."""
    if not any(name.startswith("OTEL_") for name in os.environ):
        return None
    from sampan.server import tracing

    return tracing.make_tracing()


class OperatorSpans:
    """Makes the spans of an operator's work and of its calls."""

    def __init__(self, tracing: Tracing) -> None:
        from opentelemetry import trace

        self._tracer, self._trace = tracing.tracer, trace

    def follow(self, work: Work, connection: Connection) -> None:
        """Trace a queue's reconciles, and the calls that they make."""
        work.span, connection.span = self.reconcile, self.call

    def reconcile(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[object]:
        """Return the span of a reconcile: a trace of its own."""
        return self._begin(name, attributes, self._trace.SpanKind.INTERNAL)

    def call(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[object]:
        """Return the span of a call; outside of a reconcile there is none."""
        if not self._trace.get_current_span().is_recording():
            return nullcontext()
        return self._begin(name, attributes, self._trace.SpanKind.CLIENT)

    def _begin(
        self, name: str, attributes: Mapping[str, str], kind: object
    ) -> AbstractContextManager[object]:
        """A failure is told by its words; its stack is in the log."""
        made: AbstractContextManager[object] = self._tracer.start_as_current_span(
            name, attributes=attributes, kind=kind, record_exception=False
        )
        return made
