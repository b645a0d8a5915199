"""OpenTelemetry traces: a span for a request, below it one for each phase of its inference.

On where the environment asks for it (`OTEL_*`, as the OpenTelemetry specification names them); the
SDK is an extra and is imported only then. The trace of the caller goes on (`traceparent`), and
what the model does in predict becomes part of it: the context is there on its thread too.
"""

from __future__ import annotations

import contextvars
import logging
import os
from collections.abc import Callable
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any

from sampan import __version__
from sampan.server.traced_exchange import TracedExchange

if TYPE_CHECKING:
    from sampan.server.exchange import Exchange, Observation
    from sampan.wire.message import Reply, Request

logger = logging.getLogger("sampan.tracing")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_FAULTS = frozenset({b"2", b"4", b"12", b"13", b"14", b"15"})
"""The gRPC codes that are the server's fault (semantic conventions for gRPC): UNKNOWN,
DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""
_PROBES = frozenset({"live_v1", "live_v2", "ready_v2", "ready_model", "metrics"})
"""Handlers that are asked every few seconds, by machines: their spans would hide all others."""
_RPC_PROBES = frozenset(
    {
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
        "inference.GRPCInferenceService/ModelReady",
        "inference.GRPCInferenceService/ServerLive",
        "inference.GRPCInferenceService/ServerReady",
    }
)
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def is_asked_for(environment: Any = os.environ) -> bool:
    """Whether the environment asks for traces. ValueError for an exporter that is not served."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    if exporter not in {"", "none", "otlp"}:
        raise ValueError(f'OTEL_TRACES_EXPORTER is "{exporter}"; use "otlp" or "none"')
    wanted = exporter == "otlp" or any(environment.get(name) for name in _ENDPOINTS)
    if exporter == "none" or not wanted:
        return False
    for name in _PROTOCOLS:
        if environment.get(name, "http/protobuf") != "http/protobuf":
            raise ValueError(f'{name} is "{environment[name]}"; use "http/protobuf"')
    return True


def make_tracing() -> Tracing | None:
    """Return the tracing that the environment asks for; None, and a warning, where it cannot be."""
    try:
        if not is_asked_for():
            return None
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ValueError as error:
        logger.warning("no traces are sent: %s", error)
        return None
    except ImportError as error:
        logger.warning(
            'no traces are sent: module "%s" is not installed; install "sampan[tracing]"',
            error.name,
        )
        return None
    named = "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    default = {} if named or os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "sampan"}
    provider = TracerProvider(resource=Resource.create(default))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)  # spans that a model makes itself go the same way
    return Tracing(provider)


class Tracing:
    """Makes spans by an OpenTelemetry SDK provider."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import context, propagate, trace

        self._provider = provider
        self._tracer = provider.get_tracer("sampan", __version__)
        self._context, self._propagate, self._trace = context, propagate, trace

    @property
    def tracer(self) -> Any:
        """What makes spans that are no request of a model server."""
        return self._tracer

    def run(self, exchange: Exchange, name: str, call: Callable[[], None]) -> None:
        """Begin the span of a request, and run its handler within. Probes have none."""
        if name in _PROBES:
            call()
            return
        method = exchange.request.method.decode("latin-1")
        self._run(exchange, f"{method} {name}", _attributes(exchange), call)

    def run_rpc(self, exchange: Exchange, call: Callable[[], None]) -> None:
        """Begin the span of a gRPC call, and run its handler within. Probes have none.

        Names are those of OpenTelemetry's semantic conventions for gRPC.
        """
        name = exchange.request.target.decode("latin-1").lstrip("/")
        if name in _RPC_PROBES:
            call()
            return
        self._run(exchange, name, _rpc_attributes(exchange), call)

    def _run(
        self, exchange: Exchange, name: str, attributes: dict[str, str], call: Callable[[], None]
    ) -> None:
        parent = self._propagate.extract(exchange.request.texts())
        exchange.span = self._tracer.start_span(
            name, context=parent, kind=self._trace.SpanKind.SERVER, attributes=attributes
        )
        current = self._trace.set_span_in_context(exchange.span, parent)
        contextvars.copy_context().run(self._within, current, call)

    def _within(self, current: Any, call: Callable[[], None]) -> None:
        self._context.attach(current)
        call()

    def end(self, exchange: Exchange) -> None:
        """End the span, with one for each phase of its inference."""
        span, response = exchange.span, exchange.response
        if not isinstance(span, self._trace.Span) or response is None:
            return
        code = response.field(b"grpc-status")
        if code is None:
            span.set_attribute("http.response.status_code", response.status)
        else:
            span.set_attribute("rpc.grpc.status_code", int(code))
        if response.status >= 500 or code in _FAULTS:
            span.set_status(self._trace.StatusCode.ERROR)
        if exchange.inference is not None:
            span.set_attribute("kserve.model_name", exchange.inference.model_name)
        if isinstance(exchange, TracedExchange):
            self._phases(exchange, span)
        span.end()

    def make_exchange(
        self,
        request: Request,
        reply: Reply,
        observation: Observation | None,
        identified: bool = True,
    ) -> Exchange:
        """Return an exchange whose phases are timed."""
        return TracedExchange(request, reply, observation, identified)

    def _phases(self, exchange: TracedExchange, span: Any) -> None:
        """Make the phases' spans afterwards, from what was noted on the way."""
        within = self._trace.set_span_in_context(span)
        origin = time_ns() - int(perf_counter() * 1e9)
        for phase in exchange.timeline():
            made = self._tracer.start_span(
                phase.name, context=within, start_time=origin + int(phase.begin * 1e9)
            )
            if phase.failed:
                made.set_status(self._trace.StatusCode.ERROR)
            made.end(origin + int(phase.end * 1e9))

    def close(self) -> None:
        """Send what is left; waits for the collector, at most some seconds."""
        self._provider.shutdown()


def _attributes(exchange: Exchange) -> dict[str, str]:
    request = exchange.request
    return {
        "http.request.method": request.method.decode("latin-1"),
        "url.path": request.target.partition(b"?")[0].decode("latin-1"),
        "http.request.header.x-request-id": exchange.request_id.decode("latin-1"),
    }


def _rpc_attributes(exchange: Exchange) -> dict[str, str]:
    service, _, method = exchange.request.target.decode("latin-1").lstrip("/").rpartition("/")
    return {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "rpc.grpc.request.metadata.x-request-id": exchange.request_id.decode("latin-1"),
    }
