"""A component's revisions and their traffic in Knative mode, and what was rolled out before.

KServe, rollout bookkeeping: the revision that has all the traffic is the one that is rolled out;
the one before it is remembered, so that a canary of 0 percent goes back to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.types import Workload


def derive_revisions(
    before: Mapping[str, Any], knative: Mapping[str, Any], workload: Workload
) -> JsonObject:
    """Return `status.components.*` of a Knative Service; `before` is the one last written."""
    told = knative.get("status") or {}
    created, ready = told.get("latestCreatedRevisionName"), told.get("latestReadyRevisionName")
    of_now = ("latestCreatedRevision", "latestReadyRevision", "traffic")
    status: JsonObject = {k: v for k, v in before.items() if k not in of_now}
    status |= {"latestCreatedRevision": created} if created else {}
    status |= {"latestReadyRevision": ready} if ready else {}
    for ours in ("url", "address", "traffic"):
        if told.get(ours):
            status[ours] = told[ours]
    return {**status, **_rolled_out(before, told.get("traffic") or (), created, ready, workload)}


def _rolled_out(
    before: Mapping[str, Any], traffic: Any, created: Any, ready: Any, workload: Workload
) -> JsonObject:
    latest, previous = (
        before.get("latestRolledoutRevision"),
        before.get("previousRolledoutRevision"),
    )
    for target in traffic:
        if target.get("revisionName") == ready and target.get("latestRevision"):
            whole = target.get("percent") == 100
            if whole and latest != ready:
                return {
                    "latestRolledoutRevision": ready,
                    **({"previousRolledoutRevision": latest} if latest else {}),
                }
            split = workload.canary_percent is not None and latest == created == ready
            if split and previous and _split_over_itself(traffic, ready):
                return {"latestRolledoutRevision": previous}
    return {}


def _split_over_itself(traffic: Any, revision: Any) -> bool:
    """A canary was asked for after its revision had everything: what is meant is the one before."""
    own = [t for t in traffic if t.get("revisionName") == revision]
    return len(own) > 1 and sum(int(t.get("percent") or 0) for t in own) == 100
