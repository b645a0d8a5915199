"""How far a component's newest revision has got, and which share of the traffic it has. Pure.

KServe, Knative mode, rollout bookkeeping: without `canaryTrafficPercent` all traffic goes to the
newest revision that is ready; with it, that one has the percent and the last one that had all
traffic the rest. Here this holds in Standard mode too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.plan.observed import Observed, ObservedReplica
from sampan.plan.revision import (
    LATEST,
    PREVIOUS,
    Revision,
    RolledBack,
    Rollout,
    Target,
    make_revision_name,
)
from sampan.plan.rollout_notes import RolloutNotes
from sampan.plan.rollout_settings import RolloutSettings
from sampan.plan.traffic import Step, make_gradual_step
from sampan.plan.types import Workload


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a component before a decision.

    `revisions` are those recorded, oldest first; `status` is its part of `status.components` as
    last written, `notes` what was noted there, `verdict` what was found since.
    """

    revisions: tuple[Revision, ...]
    status: Mapping[str, Any]
    settings: RolloutSettings
    observed: Observed
    now: float
    notes: RolloutNotes = RolloutNotes()
    verdict: RolledBack | None = None

    def named(self, field: str) -> Revision | None:
        """Return the revision that a field of the status names."""
        name = self.told(field)
        return next((r for r in self.revisions if r.name == name), None)

    def told(self, field: str) -> str:
        """Return what a field of the status says, or said before the service was stopped."""
        before = {
            "latestRolledoutRevision": self.notes.rolled_out,
            "previousRolledoutRevision": self.notes.previous,
        }
        return str(self.status.get(field) or before.get(field, ""))


def derive_rollout(known: Known, workload: Workload) -> Rollout:
    """Return where a component is between its revisions; `workload` is what it should be now."""
    rolled_out, ready = known.named("latestRolledoutRevision"), known.named("latestReadyRevision")
    previous = known.named("previousRolledoutRevision")
    created, new = _select_created(known, workload, rolled_out)
    if ready != created and _has_begun(known, created, workload, alone=ready is None):
        ready = created
    percent = workload.canary_percent
    if percent is not None and percent < 100 and previous and created == ready == rolled_out:
        rolled_out = previous  # a share of less was asked for after the fact: KServe's rollback
    failed = _select_failed(known, workload, created, ready)
    since = known.notes.since if ready and known.notes.revision == ready.name else 0.0
    step, since = _select_step(known, workload, (ready, rolled_out), since)
    if failed and ready and ready.name == failed.revision:
        step, since = Step(0), 0.0
    targets = _make_targets(known, step.percent, ready or created, rolled_out)
    before = known.told("previousRolledoutRevision")
    if ready is not None and ready != rolled_out and targets[0].percent == 100:
        before = rolled_out.name if rolled_out else before
        rolled_out = ready
    return Rollout(
        component=workload.component,
        created=created,
        ready=ready,
        rolled_out=rolled_out,
        previous=before,
        targets=targets,
        wake_at=step.wake_at,
        since=since,
        failed=failed,
        new=new,
    )


def is_split(workload: Workload, settings: RolloutSettings) -> bool:
    """Return whether a new revision is to share the traffic with the one before it."""
    return workload.canary_percent is not None or bool(settings.duration) or settings.paused


def _select_created(
    known: Known, workload: Workload, rolled_out: Revision | None
) -> tuple[Revision, bool]:
    """Return the newest revision, and whether it is new: it is where the template has changed."""
    last = known.revisions[-1] if known.revisions else None
    if last and (last.template_hash, last.base) == (workload.template_hash, workload.name):
        return last, False
    number = last.number + 1 if last else 1
    made = Revision(
        number,
        workload.component,
        workload.name,
        _select_workload(known, workload, rolled_out, number),
        workload.template_hash,
        known.now,
    )
    return made, True


def _select_workload(
    known: Known, workload: Workload, rolled_out: Revision | None, number: int
) -> str:
    """Return under which name a new revision runs.

    Where its very template runs already, it is that one; in place of the present one; or beside it.
    """
    base = workload.name
    names = {base, *(r.workload for r in known.revisions if r.base == base)}
    running = (
        w.name
        for w in known.observed.workloads
        if w.name in names | {make_revision_name(base, r.number) for r in known.revisions}
        and any(_serves(r, workload.template_hash) for r in w.replicas)
    )
    if found := next(running, ""):
        return found
    if rolled_out is None or rolled_out.base != base:
        return base
    if is_split(workload, known.settings):
        return make_revision_name(base, number)
    return rolled_out.workload


def _serves(replica: ObservedReplica, template_hash: str) -> bool:
    return replica.template_hash == template_hash and replica.ready and not replica.draining


def _has_begun(known: Known, created: Revision, workload: Workload, *, alone: bool) -> bool:
    """Return whether a revision can take requests; beside another one only by way of the gateway,
    which has to have found it healthy.
    """
    seen = next((w for w in known.observed.workloads if w.name == created.workload), None)
    replicas = seen.replicas if seen else ()
    serving = [r for r in replicas if _serves(r, created.template_hash)]
    return sum(alone or r.routed for r in serving) >= max(1, workload.required)


def _select_failed(
    known: Known, workload: Workload, created: Revision, ready: Revision | None
) -> RolledBack | None:
    """Return the note that a revision failed, while it is about this try of the newest one, or
    about the one that would take its share until the newest is ready.
    """
    failed = known.verdict or known.notes.failed
    if failed is None:
        return None
    if failed.revision == created.name:
        return failed if failed.percent == workload.canary_percent else None
    return failed if ready is not None and failed.revision == ready.name else None


def _select_step(
    known: Known, workload: Workload, pair: tuple[Revision | None, Revision | None], since: float
) -> tuple[Step, float]:
    """Return the share of the newest revision that is ready, and since when it has had any.

    `pair` is that revision and the one that had all traffic before.
    """
    percent = 100 if workload.canary_percent is None else workload.canary_percent
    ready, rolled_out = pair
    if ready is None or rolled_out is None or ready == rolled_out:
        return Step(percent), 0.0
    settings = known.settings
    if settings.paused:
        return Step(_present_share(known, ready)), since
    if not settings.duration:
        return Step(percent), 0.0
    since = since or known.now
    return make_gradual_step(percent, settings.duration, since, known.now), since


def _present_share(known: Known, revision: Revision) -> int:
    """Return the share that the status tells of a revision as the newest; 0 where it has none."""
    shares = (
        int(t.get("percent") or 0)
        for t in known.status.get("traffic") or ()
        if t.get("revisionName") == revision.name and t.get("latestRevision")
    )
    return next(shares, 0)


def _make_targets(
    known: Known, percent: int, ready: Revision, rolled_out: Revision | None
) -> tuple[Target, ...]:
    tag = LATEST if known.settings.tagged else ""
    if rolled_out is None or percent >= 100:
        return (Target(ready, 100, latest=True, tag=tag),)
    return (
        Target(ready, percent, latest=True, tag=tag),
        Target(rolled_out, 100 - percent, tag=PREVIOUS),
    )
