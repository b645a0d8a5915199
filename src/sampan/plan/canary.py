"""Canaries of Standard mode: predictors beside the stable one, each with a share of the traffic.

KServe, Standard canary: a canary is the stable predictor with its own fields in front; it has a
fixed number of replicas, and the stable one gives as many of its minimum away once the canary is
ready, but keeps one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sampan.plan.service import predictor
from sampan.plan.types import Role, Workload

_EMPTY: tuple[Any, ...] = (None, "", [], {}, 0)
_OF_THE_ROUTE = frozenset({"canaryTrafficPercent", "timeout"})
"""Fields that are the service's to say: its canaries share its route."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary as a service of its own: the same one, with the canary's predictor."""

    service: Mapping[str, Any]
    share: int
    replicas: int


def make_canaries(service: Mapping[str, Any]) -> Iterator[Canary]:
    """Yield the canaries of a service in their order."""
    stable = predictor(service)
    minimum = stable.get("minReplicas")
    for entry in service["spec"].get("canary") or ():
        given = (entry.get("predictor") or {}).items()
        own = {k: v for k, v in given if v not in _EMPTY and k not in _OF_THE_ROUTE}
        share = int(entry.get("trafficPercent") or 0)
        kept = 1 if minimum is None else int(minimum)
        asked = (entry.get("predictor") or {}).get("minReplicas")
        replicas = int(asked) if asked is not None else math.ceil(kept * share / 100)
        spec = {k: v for k, v in service["spec"].items() if k != "canary"}
        spec["predictor"] = {**stable, **own}
        yield Canary({**service, "spec": spec}, share, replicas)


def make_canary_workload(workload: Workload, canary: Canary) -> Workload:
    """Return a canary's workload: `workload` is what its service gives by itself.

    Its replicas are fixed, so that its autoscaler has one bound for both ends.
    """
    scaling = replace(
        workload.scaling, minimum=canary.replicas, maximum=canary.replicas, target=None, metric=""
    )
    return replace(
        workload,
        role=Role.CANARY,
        share=canary.share,
        replicas=canary.replicas,
        scaling=scaling,
    )


def reduce_stable(stable: Workload, ready: int) -> Workload:
    """Return the stable workload while `ready` replicas of canaries are ready beside it."""
    minimum = stable.scaling.minimum
    if minimum is None or ready == 0:
        return stable
    scaling = replace(stable.scaling, minimum=max(minimum - ready, 1))
    return replace(stable, scaling=scaling)
