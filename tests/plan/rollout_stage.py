"""A service whose revisions are decided, run and recorded, without a machine: decisions played."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sampan.plan.build import build_plan
from sampan.plan.events import derive_events
from sampan.plan.observed import (
    NOTHING,
    Link,
    LinkState,
    Observed,
    ObservedReplica,
    ObservedWorkload,
)
from sampan.plan.revision import History
from sampan.plan.revision_data import decode_workload, encode_workload
from sampan.plan.status import derive_status
from sampan.plan.types import Plan

DONE = Link(LinkState.DONE)
_ROUNDS = 4
"""Reconciles after which nothing changes any more."""


@dataclass
class RolloutStage:
    """The service as stored, what runs of it, and the revisions recorded."""

    make: Any
    cluster: tuple[Any, ...] = ()
    service: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)
    replicas: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Whether a replica is ready, by workload and template."""
    dead: set[str] = field(default_factory=set)
    """Workloads whose replicas never become ready."""
    now: float = 1_800_000_000.0
    plan: Plan | None = None
    events: list[str] = field(default_factory=list)
    verdicts: dict[Any, Any] = field(default_factory=dict)

    def settle(self, *, ready: bool = False) -> dict[str, Any]:
        """Reconcile until nothing changes and return the status; `ready`: what starts does so."""
        for _ in range(_ROUNDS):
            if ready:
                names = [k for k in self.replicas if k[0] not in self.dead]
                self.replicas |= dict.fromkeys(names, True)
            self._reconcile()
        return self.status

    def put(self, service: dict[str, Any], *, ready: bool = False) -> dict[str, Any]:
        """Change the service, then settle."""
        metadata = service["metadata"]
        generation = int(self.service.get("metadata", {}).get("generation", 0)) + 1
        self.service = {**service, "metadata": {**metadata, "generation": generation, "uid": "u"}}
        return self.settle(ready=ready)

    def shares(self) -> dict[str, int]:
        """Return the share of each workload, of those that have any."""
        assert self.plan
        assert self.plan.route
        return {b.workload: b.weight for b in self.plan.route.backends if b.weight}

    def revisions(self) -> dict[str, Any]:
        """Return what the status tells of the predictor's revisions."""
        return dict(self.status["components"]["predictor"])

    def _reconcile(self) -> None:
        self.now += 1
        snapshot = self.snapshot()
        plan = build_plan(snapshot)
        if missing := [n for r in plan.rollouts for n in r.missing]:
            raise AssertionError(f"nothing is known of {missing}")
        if plan.blocked is None:
            self._run(plan)
        self._record(plan)
        observed = self.observed(plan)
        before, self.status = self.status, derive_status(snapshot, plan, observed)
        told = derive_events(before, self.status, plan, observed)
        self.events += [f"{e.reason}: {e.message}" for e in told]
        self.plan = plan

    def snapshot(self) -> Any:
        """Return all that the next decision knows."""
        snapshot = self.make.snapshot({**self.service, "status": self.status})
        if self.cluster:
            snapshot = replace(snapshot, cluster_runtimes=self.cluster)
        observed = self.observed(self.plan) if self.plan else NOTHING
        known = {"history": self.history, "verdicts": self.verdicts}
        return replace(snapshot, now=self.now, observed=observed, **known)

    def _run(self, plan: Plan) -> None:
        """Start what is planned; an old template goes once the new one is ready."""
        wanted = {(w.name, w.template_hash) for w in plan.workloads}
        for one in wanted:
            self.replicas.setdefault(one, False)
        fresh = {name for name, _ in wanted}
        served = {name for name, digest in wanted if self.replicas[name, digest]}
        for name, digest in [k for k in self.replicas if k not in wanted]:
            if name not in fresh or name in served:
                del self.replicas[name, digest]

    def _record(self, plan: Plan) -> None:
        for rollout in plan.rollouts:
            if rollout.new:
                found = next(w for w in plan.workloads if w.name == rollout.created.workload)
                kept = decode_workload(encode_workload(found))
                revisions = (*self.history.revisions, rollout.created)
                workloads = {**self.history.workloads, rollout.created.name: kept}
                self.history = History(revisions, workloads)

    def observed(self, plan: Plan) -> Observed:
        """Return what is seen: each replica, routed while it is ready."""
        hashes = {w.name: (w.template_hash, w.component.value) for w in plan.workloads}
        names = dict.fromkeys(name for name, _ in self.replicas)
        seen = tuple(
            ObservedWorkload(
                name=name,
                component=hashes.get(name, ("", "predictor"))[1],
                template_hash=hashes.get(name, ("", ""))[0],
                download=DONE,
                environment=DONE,
                replicas=tuple(
                    _replica(name, digest, is_ready)
                    for (workload, digest), is_ready in self.replicas.items()
                    if workload == name
                ),
            )
            for name in names
        )
        return Observed(seen, DONE if any(self.replicas.values()) else Link())


def _replica(name: str, digest: str, is_ready: bool) -> ObservedReplica:
    return ObservedReplica(
        name=f"{name}-{digest}",
        workload=name,
        template_hash=digest,
        running=True,
        ready=is_ready,
        load=DONE if is_ready else Link(LinkState.RUNNING),
        routed=is_ready,
    )
