"""Who scales a component and how, from its fields and annotations.

KServe, autoscaler by class: Knative mode follows the annotations of `autoscaling.knative.dev`,
Standard mode `serving.kserve.io/autoscalerClass`. The component's own fields win over annotations
in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sampan.autoscaler.annotations import DOMAIN, HPA, KPA, METRICS, find_annotations, read_settings
from sampan.autoscaler.behavior import make_direction
from sampan.autoscaler.hpa import DOWN, UP, Rules
from sampan.autoscaler.queries import Query, make_named_query, make_queries
from sampan.autoscaler.settings import Defaults, Settings
from sampan.autoscaler.target import ANY
from sampan.machinery.quantity import parse_quantity
from sampan.plan.scaling import KEDA, SAMPAN, UNSCALED, Scaling

CPU_PERCENT = 80.0
"""Of the requested CPU, where no target is given (KServe, Kubernetes)."""

MEBIBYTE = 1024.0 * 1024.0
UNBOUNDED = 2**31 - 1
_KNATIVE = "Knative"


@dataclass(frozen=True, slots=True)
class Target:
    """A resource and the average of it at which each replica is held: a share of its request in
    percent, or else an `amount` (bytes, cores).
    """

    resource: str
    percent: float = 0.0
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class ByRequests:
    """Knative's autoscaler: replicas follow the requests in flight, or those that come."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class ByResources:
    """Kubernetes's horizontal autoscaler: replicas follow what they use, and numbers that are
    asked for (KEDA's triggers).

    `sleeps` says when there is none at all, None: never. Then requests wake it, and a query that
    comes to more than 0 (KEDA's activation).
    """

    rules: Rules
    targets: tuple[Target, ...]
    queries: tuple[Query, ...] = ()
    sleeps: Settings | None = None


Policy: TypeAlias = ByRequests | ByResources


@dataclass(frozen=True, slots=True)
class Component:
    """What of a component its scaling depends on. `concurrency` 0: no hard limit."""

    scaling: Scaling
    annotations: Mapping[str, str]
    concurrency: int = 0
    mode: str = "Standard"


def select_policy(component: Component, defaults: Defaults) -> Policy | None:
    """Return how a component scales; None where nothing does: the number is its own."""
    scaling = component.scaling
    if scaling.autoscaler in UNSCALED:
        return None
    if component.mode == _KNATIVE:
        given = find_annotations(component.annotations)
        policies = {KPA: _by_requests, HPA: _by_knative_hpa}
        make = policies.get(given.get("class", defaults.autoscaler_class))
        return make(component, defaults) if make else None
    if scaling.autoscaler == SAMPAN:
        return _by_requests(component, defaults)
    # A cluster's horizontal autoscaler knows neither requests nor zero; here both can be had.
    policy = _by_hpa(component)
    may_sleep = scaling.minimum == 0 and not scaling.metric
    if policy and may_sleep and scaling.autoscaler == KEDA and scaling.metrics:
        return replace(policy, sleeps=_sleeps(component, defaults))
    if may_sleep or scaling.metric in METRICS[KPA]:
        return _by_requests(component, defaults)
    return policy


def make_annotations(component: Component) -> dict[str, str]:
    """Return the annotations of a component with what its fields say (KServe writes them so)."""
    scaling = component.scaling
    fields = {
        "target": None if scaling.target is None else str(scaling.target),
        "metric": scaling.metric or None,
        "min-scale": str(1 if scaling.minimum is None else scaling.minimum),
        "max-scale": _most(component),
    }
    short = find_annotations(component.annotations) | {k: v for k, v in fields.items() if v}
    return {DOMAIN + key: text for key, text in short.items()}


def _most(component: Component) -> str | None:
    """Without `maxReplicas` there is no bound in Knative mode, and no room in Standard mode."""
    scaling = component.scaling
    if component.mode == _KNATIVE:
        return str(scaling.maximum) if scaling.maximum else None
    return str(max(scaling.maximum, scaling.minimum or 0, 1))


def read_policy_settings(component: Component, defaults: Defaults) -> tuple[Settings, list[str]]:
    """Return what holds for a component that scales by requests, and what is wrong with it."""
    return read_settings(make_annotations(component), component.concurrency, defaults)


def _by_requests(component: Component, defaults: Defaults) -> Policy:
    return ByRequests(read_policy_settings(component, defaults)[0])


def _by_knative_hpa(component: Component, defaults: Defaults) -> Policy:
    given = find_annotations(make_annotations(component))
    settings, _ = read_policy_settings(component, defaults)
    target = read_target(given)
    least = max(settings.minimum, 1)
    rules = Rules(least, max(settings.maximum or UNBOUNDED, least))
    if given.get("metric") == "memory":
        return ByResources(rules, (Target("memory", amount=target * MEBIBYTE),) if target else ())
    query = read_custom_metric(component)
    if isinstance(query, Query):
        return ByResources(rules, (), (query,))
    return ByResources(rules, (Target("cpu", percent=target or CPU_PERCENT),))


def read_custom_metric(component: Component) -> Query | str | None:
    """Return the metric of Knative's class hpa that is none of a resource's; None: it is one.

    A sentence says why it cannot be read; then the use of the CPU decides.
    """
    given = find_annotations(make_annotations(component))
    metric = given.get("metric", "cpu")
    if metric in METRICS[HPA]:
        return None
    if metric in METRICS[KPA]:
        return f'is "{metric}", which class "{HPA}" does not measure; class "{KPA}" does'
    return make_named_query(metric, read_target(given))


def read_target(given: Mapping[str, str]) -> float:
    """Return the target that annotations give; 0 where they give none, or no number."""
    try:
        target = float(given.get("target", 0))
    except ValueError:
        return 0.0
    return target if 0 < target < math.inf else 0.0


def _sleeps(component: Component, defaults: Defaults) -> Settings:
    """Return settings by which there is one replica while there are any requests, and else none."""
    settings, _ = read_policy_settings(component, defaults)
    return replace(settings, target=ANY, total=ANY, maximum=1, activation=1)


def _by_hpa(component: Component) -> ByResources | None:
    """Return Standard mode's autoscaler; None where it has nothing to decide."""
    scaling = component.scaling
    least = max(1 if scaling.minimum is None else scaling.minimum, 1)
    if scaling.maximum <= least:
        return None
    rules = replace(
        Rules(least, scaling.maximum),
        up=make_direction(scaling.behavior.get("scaleUp"), UP),
        down=make_direction(scaling.behavior.get("scaleDown"), DOWN),
    )
    return ByResources(rules, tuple(make_targets(scaling)), make_queries(scaling))


def make_targets(scaling: Scaling) -> list[Target]:
    """Return what is measured: the listed resources, else the one of `scaleMetric` (KServe)."""
    listed = [
        _listed(m.get("resource") or {}) for m in scaling.metrics if m.get("type") == "Resource"
    ]
    if scaling.metrics:
        return listed
    if scaling.metric == "memory":
        return [Target("memory", percent=scaling.target)] if scaling.target else []
    return [Target("cpu", percent=scaling.target or CPU_PERCENT)]


def _listed(resource: Mapping[str, Any]) -> Target:
    name, target = str(resource.get("name")), resource.get("target") or {}
    if name == "memory" and target.get("type") == "AverageValue":
        return Target(name, amount=float(parse_quantity(target["averageValue"]).ceiling()))
    return Target(name, percent=float(target.get("averageUtilization") or CPU_PERCENT))
