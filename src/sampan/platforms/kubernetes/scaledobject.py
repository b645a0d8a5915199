"""ScaledObjects: replicas by whatever KEDA can measure, down to none.

KServe, Standard mode with the autoscaler class `keda`: a trigger for each listed metric, or for
CPU where none is listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.scaling import Scaling
from sampan.plan.types import Workload
from sampan.platforms.kubernetes.hpa import CPU_TARGET, make_bounds
from sampan.platforms.kubernetes.source import Source, make_workload_metadata


def render_scaledobject(source: Source, workload: Workload) -> JsonObject:
    """Return the ScaledObject of a workload."""
    minimum, maximum = make_bounds(workload.scaling, floor=0)
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": make_workload_metadata(source, workload),
        "spec": {
            "scaleTargetRef": {"name": workload.name},
            "minReplicaCount": minimum,
            "maxReplicaCount": maximum,
            "triggers": _triggers(source, workload),
            "advanced": {
                "horizontalPodAutoscalerConfig": {"behavior": _behavior(source, workload.scaling)},
                "scalingModifiers": {},
            },
        },
    }


def _triggers(source: Source, workload: Workload) -> list[JsonObject]:
    scaling = workload.scaling
    if not scaling.metrics:
        return [_resource("cpu", "Utilization", str(scaling.target or CPU_TARGET))]
    return [_trigger(source, workload, metric) for metric in scaling.metrics]


def _trigger(source: Source, workload: Workload, metric: Mapping[str, Any]) -> JsonObject:
    match metric.get("type"):
        case "External":
            return _external(metric["external"])
        case "PodMetric":
            return _pod_metric(source, workload, metric["podmetric"])
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    kind = str(target.get("type") or "Utilization")
    value = target.get("averageUtilization" if kind == "Utilization" else "averageValue")
    return _resource(str(resource.get("name")), kind, str(value or CPU_TARGET))


def _resource(name: str, metric_type: str, value: str) -> JsonObject:
    return {"type": name, "metricType": metric_type, "metadata": {"value": value}}


def _external(external: Mapping[str, Any]) -> JsonObject:
    metric, reference = external.get("metric") or {}, external.get("authenticationRef") or {}
    backend = str(metric.get("backend"))
    query = metric.get("query") or ""
    named = {
        "serverAddress": metric.get("serverAddress"),
        "query": query,
        "threshold": _text((external.get("target") or {}).get("value")),
        "namespace": metric.get("namespace") if backend == "prometheus" else None,
        "authModes": reference.get("authModes"),
    }
    name = (reference.get("authenticationRef") or {}).get("name")
    return {
        "type": backend,
        "metadata": {k: str(v) for k, v in named.items() if v not in (None, "")},
        **({"authenticationRef": {"name": name}} if name else {}),
    }


def _pod_metric(source: Source, workload: Workload, podmetric: Mapping[str, Any]) -> JsonObject:
    metric = podmetric.get("metric") or {}
    labels = f'namespace="{source.namespace}", deployment="{workload.name}"'
    named = {
        "metricQuery": f"sum({metric.get('query', '')}{{{labels}}})",
        "targetValue": _text((podmetric.get("target") or {}).get("value")),
        "scalerAddress": metric.get("serverAddress") or source.settings.collector.scaler,
        "operationOverTime": metric.get("operationOverTime"),
    }
    metadata = {k: str(v) for k, v in named.items() if v not in (None, "")}
    return {"type": "external", "metadata": metadata}


def _behavior(source: Source, scaling: Scaling) -> JsonObject:
    """Of a user's behavior KServe keeps the windows alone; here the rest is kept as well."""
    configured = {
        "scaleUp": source.settings.scale_up_window,
        "scaleDown": source.settings.scale_down_window,
    }
    found: JsonObject = {}
    for way, window in configured.items():
        rules = dict(scaling.behavior.get(way) or {})
        if window is not None:
            rules.setdefault("stabilizationWindowSeconds", window)
        if rules:
            found[way] = rules
    return found


def _text(value: object) -> str:
    return "" if value is None else str(value)
