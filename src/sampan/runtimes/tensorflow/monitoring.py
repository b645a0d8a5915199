"""Metrics where TensorFlow Serving has them: at the path of a monitoring configuration, with its
count of requests beside Sampan's own metrics ("Monitoring Configuration")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sampan.runtimes.tensorflow.schema import TEXT_TABLES
from sampan.runtimes.triton import pbtxt
from sampan.server import metrics
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.rest import Handler, Route
from sampan.server.routes import Route as Pattern
from sampan.wire.message import Request, Response

_USUAL = "/monitoring/prometheus/metrics"
_COUNT = ":tensorflow:serving:request_count"
_FAMILY = "kserve_inference_requests_total"
_CODES = {
    "200": "OK", "400": "INVALID_ARGUMENT", "404": "NOT_FOUND", "429": "RESOURCE_EXHAUSTED",
    "499": "CANCELLED", "501": "UNIMPLEMENTED", "503": "UNAVAILABLE", "504": "DEADLINE_EXCEEDED",
}  # fmt: skip


def gather_metrics_path(path: Path) -> str:
    """Return where a MonitoringConfig wants metrics, empty: nowhere; ValueError names its fault."""
    try:
        document = pbtxt.parse(path.read_text("utf-8"), "MonitoringConfig", TEXT_TABLES)
    except (pbtxt.PbtxtError, UnicodeDecodeError) as error:
        raise ValueError(f'"{path.name}": {error}') from None
    prometheus = document.get("prometheus_config", {})
    if not prometheus.get("enable"):
        return ""
    where: str = prometheus.get("path") or _USUAL
    if not where.startswith("/") or set(where) & set("{}?#"):
        raise ValueError(
            f'"{path.name}": prometheus_config.path is "{where}"; give a path, as in "{_USUAL}"'
        )
    return where


def make_metrics_route(path: str, dataplane: DataPlane) -> tuple[Pattern, Handler]:
    """Return the route of the metrics."""

    def show(request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        others = list(dataplane.other_states())
        own = render_counts([dataplane.metrics.state(), *others])
        reply(Response(200, dataplane.metrics.render(others) + own, metrics.CONTENT_TYPE))

    return Pattern("GET", path, "tensorflow metrics"), show


def render_counts(states: Iterable[dict[str, Any]]) -> bytes:
    """Return TensorFlow Serving's count of requests of the states of a server's processes."""
    counts = Counter[tuple[str, str]]()
    for state in states:
        for name, model in state["models"].items():
            for family, code, number in model["counters"]:
                if family == _FAMILY:
                    counts[name, _CODES.get(code, "INTERNAL")] += number
    lines = [f"# TYPE {_COUNT} counter"]
    for (name, status), number in counts.items():
        shown = name.replace("\\", r"\\").replace('"', r"\"")
        lines.append(f'{_COUNT}{{model_name="{shown}",status="{status}"}} {number}')
    return ("\n".join(lines) + "\n").encode()
