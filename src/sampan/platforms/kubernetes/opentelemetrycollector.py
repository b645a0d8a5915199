"""OpenTelemetryCollectors: sidecars that bring a server's metrics to KEDA.

KServe, Standard mode: made where a metric of the pods scales a workload. The user's annotation
`sidecar.opentelemetry.io/inject` puts it into the pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.types import Workload
from sampan.platforms.kubernetes.deployment import DEFAULT_PORT
from sampan.platforms.kubernetes.source import Source, make_metadata

METRICS_PORT = "prometheus.kserve.io/port"
_STATEMENTS = [
    f'set(attributes["{name}"], resource.attributes["k8s.{name}.name"])'
    for name in ("namespace", "deployment", "pod")
]


def render_collector(source: Source, workload: Workload) -> JsonObject | None:
    """Return the collector of a workload, None where no metric of its pods scales it."""
    metric = next(
        (
            m["podmetric"]["metric"]
            for m in workload.scaling.metrics
            if m.get("type") == "PodMetric"
            and m["podmetric"]["metric"].get("backend") == "opentelemetry"
        ),
        None,
    )
    if metric is None:
        return None
    annotations = workload.template["metadata"]["annotations"]
    settings = source.settings.collector
    return {
        "apiVersion": "opentelemetry.io/v1beta1",
        "kind": "OpenTelemetryCollector",
        "metadata": make_metadata(source, workload.name, {}, annotations),
        "spec": {
            "mode": "sidecar",
            "config": _config(source, metric, str(annotations.get(METRICS_PORT, DEFAULT_PORT))),
            **({"resources": settings.resources} if settings.resources else {}),
        },
    }


def _config(source: Source, metric: Mapping[str, Any], port: str) -> JsonObject:
    settings = source.settings.collector
    scrape = {
        "job_name": "otel-collector",
        "scrape_interval": settings.scrape_interval,
        "static_configs": [{"targets": [f"localhost:{port}"]}],
    }
    processors: JsonObject = {
        "resourcedetection/env": {"detectors": ["env"], "timeout": "2s", "override": False},
        "transform": {"metric_statements": [{"context": "datapoint", "statements": _STATEMENTS}]},
    }
    if names := list(metric.get("metricNames") or ()):
        included = {"match_type": "strict", "metric_names": names}
        processors["filter/metrics"] = {"metrics": {"include": included}}
    exporter = {"endpoint": settings.receiver, "compression": "none", "tls": {"insecure": True}}
    pipeline = {"receivers": ["prometheus"], "processors": [*processors], "exporters": ["otlp"]}
    return {
        "receivers": {"prometheus": {"config": {"scrape_configs": [scrape]}}},
        "processors": processors,
        "exporters": {"otlp": exporter},
        "service": {"pipelines": {"metrics": pipeline}},
    }
