"""What a status tells of revisions and canaries (KServe, statuses of both). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.inferenceservice.conditions import CANARY_PREDICTOR_READY, REASON_STOPPED
from sampan.machinery.registry import JsonObject
from sampan.plan.observed import Observed
from sampan.plan.revision import Rollout, Target
from sampan.plan.routes import make_url
from sampan.plan.types import Gateway, Plan, Role, Workload

ALL_READY, NOT_READY = "AllCanariesReady", "CanariesNotReady"


def derive_revisions(rollout: Rollout, namespace: str, gateway: Gateway) -> JsonObject:
    """Return the fields of a component's status that are about its revisions."""
    named = {
        "latestCreatedRevision": rollout.created.name,
        "latestReadyRevision": rollout.ready.name if rollout.ready else "",
        "latestRolledoutRevision": rollout.rolled_out.name if rollout.rolled_out else "",
        "previousRolledoutRevision": rollout.previous,
    }
    status: JsonObject = {k: v for k, v in named.items() if v}
    if rollout.ready:
        status["traffic"] = [_target(t, namespace, gateway) for t in rollout.targets]
    return status


def keep_traffic(status: JsonObject, before: Mapping[str, Any]) -> JsonObject:
    """Return a status that tells the shares of the one before, for those that it tells are yet to
    come: who waits for a rollout must not be told that it is done before requests go there.
    """
    components = {}
    for name, told in (status.get("components") or {}).items():
        served = ((before.get("components") or {}).get(name) or {}).get("traffic")
        kept = {k: v for k, v in told.items() if k != "traffic"}
        components[name] = kept | ({"traffic": served} if served and "traffic" in told else {})
    return {**status, "components": components} if components else status


def _target(target: Target, namespace: str, gateway: Gateway) -> JsonObject:
    told: JsonObject = {
        "revisionName": target.revision.name,
        "latestRevision": target.latest,
        "percent": target.percent,
    }
    if target.tag:
        host = f"{target.tag}-{target.revision.base}"
        told |= {"tag": target.tag, "url": make_url(host, namespace, gateway)}
    return told


def first_rollout_warnings(
    rollouts: Iterable[Rollout], planned: Iterable[Workload]
) -> Iterator[tuple[str, str]]:
    """Yield a warning for a share of the first revision: there is none to have the rest."""
    shares = {w.component: w.canary_percent for w in planned}
    for rollout in rollouts:
        percent = shares.get(rollout.component)
        if percent is not None and percent < 100 and rollout.rolled_out is None:
            sentence = (
                f"is {percent}, and no revision has had all traffic before, so the first one that "
                "becomes ready takes all of it; it counts from the next change on"
            )
            yield f"spec.{rollout.component.value}.canaryTrafficPercent", sentence


def derive_canaries(
    service: Mapping[str, Any], plan: Plan, observed: Observed
) -> tuple[list[JsonObject], tuple[Condition, ...]]:
    """Return `canaryStatuses` and the condition of canaries; nothing of a service without any."""
    entries = service["spec"].get("canary") or ()
    if not entries:
        return [], ()
    running = [w for w in plan.workloads if w.role is Role.CANARY]
    ready = [_is_ready(observed, w) for w in running] or [False] * len(entries)
    statuses: list[JsonObject] = [
        {
            "name": str(entry["predictor"].get("name") or ""),
            "ready": is_ready,
            "trafficPercent": int(entry.get("trafficPercent") or 0),
            "modelStatus": {"transitionStatus": ""},
        }
        for entry, is_ready in zip(entries, ready, strict=True)
    ]
    if plan.stopped:
        return statuses, (_condition(ConditionStatus.FALSE, REASON_STOPPED),)
    if all(ready):
        return statuses, (_condition(ConditionStatus.TRUE, ALL_READY),)
    return statuses, (_condition(ConditionStatus.FALSE, NOT_READY),)


def derive_failed(rollouts: Iterable[Rollout]) -> tuple[Condition, ...]:
    """Return the condition of a new revision that was taken back; none where none was."""
    failed = [r.failed for r in rollouts if r.failed]
    return tuple(
        Condition(CANARY_PREDICTOR_READY, ConditionStatus.FALSE, one.reason, one.message)
        for one in failed[:1]
    )


def _condition(status: ConditionStatus, reason: str) -> Condition:
    return Condition(CANARY_PREDICTOR_READY, status, reason)


def _is_ready(observed: Observed, workload: Workload) -> bool:
    seen = (w for w in observed.workloads if w.name == workload.name)
    return any(r.running and r.ready and not r.draining for w in seen for r in w.replicas)
