"""HorizontalPodAutoscalers: replicas by CPU or memory.

KServe, Standard mode: every workload has one unless another class of autoscaler is asked for; its
minimum is never below one, its maximum never below its minimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.scaling import Scaling
from sampan.plan.types import Workload
from sampan.platforms.kubernetes.source import Source, make_workload_metadata

CPU_TARGET = 80
"""Percent of the requested CPU, where no target is given (KServe)."""


def render_hpa(source: Source, workload: Workload) -> JsonObject:
    """Return the HorizontalPodAutoscaler of a workload."""
    minimum, maximum = make_bounds(workload.scaling, floor=1)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": make_workload_metadata(source, workload),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": workload.name,
            },
            "minReplicas": minimum,
            "maxReplicas": maximum,
            "metrics": make_metrics(workload.scaling),
            # Empty rather than absent, so that the API server shows what it defaults it to.
            "behavior": {},
        },
    }


def make_bounds(scaling: Scaling, *, floor: int) -> tuple[int, int]:
    """Return the fewest and the most replicas; the fewest is `floor` or more."""
    minimum = max(1 if scaling.minimum is None else scaling.minimum, floor)
    return minimum, max(scaling.maximum, minimum)


def make_metrics(scaling: Scaling) -> list[JsonObject]:
    """Return what is measured: the listed resources, else the one of `scaleMetric`."""
    listed = [_listed(m["resource"]) for m in scaling.metrics if m.get("type") == "Resource"]
    if scaling.metrics:
        return listed
    if scaling.metric == "memory":
        return [] if scaling.target is None else [_utilization("memory", scaling.target)]
    # A target is meant for the metric that it stands beside; other metrics are not an HPA's.
    target = scaling.target if scaling.metric in ("", "cpu") else None
    return [_utilization("cpu", target or CPU_TARGET)]


def _listed(resource: Mapping[str, Any]) -> JsonObject:
    name, target = str(resource.get("name")), resource.get("target") or {}
    if name == "memory" and target.get("type") == "AverageValue":
        value = target.get("averageValue")
        wanted = {"type": "AverageValue", "averageValue": value}
        return {"type": "Resource", "resource": {"name": name, "target": wanted}}
    return _utilization(name, int(target.get("averageUtilization") or CPU_TARGET))


def _utilization(name: str, percent: int) -> JsonObject:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": name, "target": target}}
