"""`metrics.k8s.io`: what replicas use now, for `kubectl top pods`. Measured when asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import orjson

from sampan.apiserver.answers import render_list, render_object
from sampan.apiserver.call import Call
from sampan.apiserver.messages import Reply
from sampan.apiserver.options import parse_list_options
from sampan.machinery.clock import Clock
from sampan.machinery.listing import make_page, make_selection
from sampan.machinery.object_meta import not_found
from sampan.machinery.registry import Column, JsonObject, Resource
from sampan.machinery.timestamps import rfc3339

POD_METRICS = Resource(
    group="metrics.k8s.io",
    version="v1beta1",
    kind="PodMetrics",
    plural="pods",
    generation=False,
    columns=(
        Column("CPU", ".containers[*].usage.cpu"),
        Column("Memory", ".containers[*].usage.memory"),
        Column("Window", ".window"),
    ),
    read_only=True,
)
VERBS = ("get", "list")


class MetricsSource(Protocol):
    """Who measures: the platform."""

    async def metrics(self) -> Iterable[JsonObject]:
        """Return the PodMetrics of every replica that runs, in no order."""


@dataclass(frozen=True, slots=True)
class PodMetrics:
    """Answers reads of the metrics. There is no watch, as upstream."""

    source: MetricsSource
    clock: Clock

    async def list(self, call: Call) -> Reply:
        """Return the metrics of a namespace, or of all."""
        options = parse_list_options(call.request.query)
        found = await self.source.metrics()
        objects = {_location(one): orjson.dumps(_whole(one)) for one in found}
        selection = make_selection(
            POD_METRICS.id, call.route.namespace, options.label_selector, options.field_selector
        )
        page = make_page(selection, objects, int(self.clock.now()), ("", ""), 0)
        return render_list(call, page, self.clock.now())

    async def get(self, call: Call) -> Reply:
        """Return the metrics of one pod; raise NotFound for one that does not run."""
        wanted = (call.route.namespace, call.route.name)
        for one in await self.source.metrics():
            if _location(one) == wanted:
                return render_object(call, _whole(one), self.clock.now())
        raise not_found(POD_METRICS, call.route.name)


def make_pod_metrics(
    pod: JsonObject, cores: float, memory: int, window: tuple[float, float]
) -> JsonObject:
    """Return what a pod used over a window: CPU in cores, memory in bytes. Pure."""
    start, end = window
    usage = {"cpu": f"{math.ceil(cores * 1000)}m", "memory": f"{memory // 1024}Ki"}
    container = {"name": pod["spec"]["containers"][0]["name"], "usage": usage}
    meta = {key: pod["metadata"].get(key) for key in ("name", "namespace", "labels")}
    return {
        "metadata": {**meta, "creationTimestamp": rfc3339(end)},
        "timestamp": rfc3339(end),
        "window": f"{end - start:.3f}s",
        "containers": [container],
    }


def _whole(metrics: JsonObject) -> JsonObject:
    return {"kind": POD_METRICS.kind, "apiVersion": POD_METRICS.api_version, **metrics}


def _location(metrics: JsonObject) -> tuple[str, str]:
    return metrics["metadata"]["namespace"], metrics["metadata"]["name"]
