"""The `why` subresource of an InferenceService: what the controller would decide now, in words."""

from __future__ import annotations

from sampan.api.inferenceservice.conditions import READY
from sampan.controllers.gather import SERVICES, Sources, gather
from sampan.controllers.history import plan_with_history
from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject
from sampan.plan.chain import ChainLink
from sampan.plan.conditions import condition_status
from sampan.plan.explain import Diagnosis, why
from sampan.plan.mends import make_mend
from sampan.plan.observed import LinkState, Observed
from sampan.plan.replicas import render_replicas
from sampan.plan.revision import RolledBack, Rollout
from sampan.plan.status import derive_status
from sampan.plan.types import Plan, ServiceKey, Snapshot, Workload

SOON_SECONDS = 5.0
"""A failed link that is tried again sooner than this is still under way for who waits for it."""
ROUTE_SECONDS = 15.0
"""A busy machine takes some seconds until a new route is taken and its replica found healthy."""


async def explain(sources: Sources, service: ServiceKey) -> JsonObject:
    """Return the explanation of a service as JSON; raise NotFound.

    `links` is the chain, each with `name`, `component` ("" where it is the service's), `state`,
    `reason`, `message`, `since`, `done`, `total`; `final` tells that nothing will change soon by
    itself. `replicas` tells of each workload how many answer and are wanted, and why; `rolledBack`
    of each revision that was taken back by itself, by which numbers, and what mends it.
    """
    gathered = await gather(sources, service)
    if gathered is None:
        raise NotFound(f'{SERVICES} "{service.name}" not found')
    snapshot, plan = await plan_with_history(sources, gathered.snapshot)
    status = derive_status(snapshot, plan, snapshot.observed)
    diagnosis = why(snapshot, plan, snapshot.observed)
    return {
        "kind": "Why",
        "apiVersion": "serving.sampan.dev/v1",
        "name": service.name,
        "namespace": service.namespace,
        "ready": condition_status(status, READY) == "True",
        "serving": diagnosis.serving,
        "url": plan.url,
        **_diagnosis(diagnosis),
        "final": _is_final(snapshot, plan, diagnosis),
        "links": [_link(link) for link in diagnosis.chain] or [_decision(diagnosis)],
        "replicas": [_replicas(w, snapshot) for w in plan.workloads],
        "rolledBack": [_rolled_back(r, r.failed, plan) for r in plan.rollouts if r.failed],
        "warnings": [f"{path}: {text}" for path, text in plan.warnings],
    }


def _replicas(workload: Workload, snapshot: Snapshot) -> JsonObject:
    """How many replicas a workload has, and by which numbers of its autoscaler, if it has one."""
    scale = workload.scale
    return {
        "workload": workload.name,
        "replicas": render_replicas(workload, snapshot.observed),
        "reason": scale.reason if scale else "",
        "limited": scale.limited if scale else "",
        "atHand": _at_hand(workload, snapshot.observed),
    }


def _at_hand(workload: Workload, observed: Observed) -> str:
    """Return how far the model of one that sleeps is kept at hand; "" where it need not be."""
    seen = next((w for w in observed.workloads if w.name == workload.name), None)
    if seen is None or not (workload.idle and workload.prefetch):
        return ""
    if seen.at_hand or seen.download.state is LinkState.DONE:
        return seen.at_hand
    return f"its model is not at hand: {seen.download.message or 'it is fetched again'}"


def _rolled_back(rollout: Rollout, failed: RolledBack, plan: Plan) -> JsonObject:
    return {
        "component": rollout.component.value,
        "revision": failed.revision,
        "reason": failed.reason,
        "message": failed.message,
        "mend": make_mend("ready", failed.reason, plan.service.name, rollout.component),
    }


def _diagnosis(diagnosis: Diagnosis) -> JsonObject:
    return {
        "link": diagnosis.link,
        "component": diagnosis.component.value,
        "state": diagnosis.state.value,
        "reason": diagnosis.reason,
        "message": diagnosis.message,
        "mend": diagnosis.mend,
        "replica": diagnosis.replica,
        "lastLines": list(diagnosis.lines),
        "rejected": [f"{r.runtime}: {r.message}" for r in diagnosis.rejected],
    }


def _is_final(snapshot: Snapshot, plan: Plan, diagnosis: Diagnosis) -> bool:
    if plan.blocked or plan.stopped:
        return True
    for one in diagnosis.chain:
        if one.state is LinkState.FAILED:
            return stays(one, snapshot.now)
    return False


def stays(failed: ChainLink, now: float) -> bool:
    """Tell whether a failure is worth no more waiting. A route is tried again each second. Pure."""
    if failed.name == "route" and now - failed.link.since < ROUTE_SECONDS:
        return False
    again = failed.link.retry_at
    return not again or again - now > SOON_SECONDS


def _link(one: ChainLink) -> JsonObject:
    link = one.link
    return {
        "name": one.name,
        "component": "" if one.name == "route" else one.component.value,
        "state": link.state.value,
        "reason": link.reason,
        "message": link.message,
        "since": link.since,
        "done": link.done,
        "total": link.total,
        "retryAt": link.retry_at,
    }


def _decision(diagnosis: Diagnosis) -> JsonObject:
    """What stands in the chain's place while nothing is to run."""
    return {
        "name": diagnosis.link or "decision",
        "component": "",
        "state": diagnosis.state.value,
        "reason": diagnosis.reason,
        "message": diagnosis.message,
        "since": 0.0,
        "done": 0,
        "total": 0,
        "retryAt": 0.0,
    }
