"""How many replicas a component may have, and what decides between the bounds.

KServe, autoscaler by class: the annotation `serving.kserve.io/autoscalerClass` of the component
says who scales, the component's own fields say between which bounds and by which measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"

HPA, KEDA = "hpa", "keda"
SAMPAN = "sampan"
"""Sampan's own class: by requests, down to none, on a laptop and on a cluster without Knative."""
UNSCALED = frozenset({"none", "external"})
"""Classes for which no autoscaler is made."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """A component's bounds and measure, as its fields give them.

    `minimum` None: not given. `maximum` 0: no bound of its own. `metrics` and `behavior` are those
    of `autoScaling`, `target` the value at which `metric` is held.
    """

    autoscaler: str = HPA
    minimum: int | None = None
    maximum: int = 0
    metric: str = ""
    target: int | None = None
    metrics: tuple[Mapping[str, Any], ...] = ()
    behavior: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unread:
    """A metric that an autoscaler could not read: Kubernetes's reason for it, and what mends it."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Scale:
    """What an autoscaler decided for a workload, and the numbers that made it so.

    `held`: its requests wait at the activator, for nothing may be running that could answer them.
    `limited` tells why the machine holds fewer than are wanted ("": it holds them). `waking`: a
    request came while it slept, and this very template has served before. `unread` is a metric
    that could not be had.
    """

    replicas: int
    held: bool = False
    reason: str = ""
    limited: str = ""
    waking: bool = False
    unread: Unread | None = None


def make_scaling(component: Mapping[str, Any], annotations: Mapping[str, str]) -> Scaling:
    """Return how a component scales; `annotations` are those of its pods."""
    minimum, target = component.get("minReplicas"), component.get("scaleTarget")
    automatic = component.get("autoScaling") or {}
    return Scaling(
        autoscaler=str(annotations.get(AUTOSCALER_CLASS) or HPA),
        minimum=int(minimum) if minimum is not None else None,
        maximum=int(component.get("maxReplicas") or 0),
        metric=str(component.get("scaleMetric") or ""),
        target=int(target) if target is not None else None,
        metrics=tuple(automatic.get("metrics") or ()),
        behavior=automatic.get("behavior") or {},
    )
