"""From the components that should be to the revisions of them that run, and their shares. Pure.

A platform that makes revisions by itself (Knative) has none of this: its snapshots have no history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sampan.plan.canary import reduce_stable
from sampan.plan.observed import Observed
from sampan.plan.prefetch import is_prefetched
from sampan.plan.revision import Revision, Rollout, Target, make_revision_name
from sampan.plan.rollout import Known, derive_rollout
from sampan.plan.rollout_notes import read_notes
from sampan.plan.rollout_settings import RolloutSettings, read_rollout_settings
from sampan.plan.rollout_shares import Sharing, make_backends, select_copied
from sampan.plan.scaling import Scale
from sampan.plan.types import Backend, Component, Role, Route, Snapshot, Way, Workload
from sampan.plan.warm import derive_warmth, keep_warm


@dataclass(frozen=True, slots=True)
class Resolution:
    """What runs for the components of a service, who gets which share, and how far each is.

    `backends` are by component, in the order of their shares.
    """

    workloads: tuple[Workload, ...]
    backends: Mapping[Component, tuple[Backend, ...]]
    rollouts: tuple[Rollout, ...] = ()


def resolve_rollouts(snapshot: Snapshot, planned: tuple[Workload, ...]) -> Resolution:
    """Return the revisions that run of each planned workload, with their autoscalers' sizes."""
    settings = read_rollout_settings(snapshot.service)
    warmth = derive_warmth(snapshot.service, snapshot.now)
    planned = tuple(keep_warm(w, warmth) for w in planned)
    canaries = [_scaled(w, snapshot.scales) for w in planned if w.role is Role.CANARY]
    workloads: list[Workload] = []
    rollouts, backends = [], {}
    for workload in planned:
        if workload.role is Role.WORKER:
            workloads.append(workload)
        elif workload.role is Role.STABLE:
            own = canaries if workload.component is Component.PREDICTOR else []
            sharing = _share(snapshot, settings, workload, own)
            workloads += [*sharing.revisions, *sharing.canaries]
            rollouts.append(_woken_at(sharing.rollout, warmth.changes_at))
            backends[workload.component] = make_backends(snapshot, settings, sharing)
    prefetch = is_prefetched(snapshot.service)
    running = tuple(replace(w, prefetch=prefetch) for w in workloads)
    return Resolution(running, backends, tuple(rollouts))


def _woken_at(rollout: Rollout, at: float) -> Rollout:
    """Return a rollout that is looked at again by then at the latest (0: whenever it likes)."""
    return replace(rollout, wake_at=min(filter(None, (rollout.wake_at, at)), default=0.0))


def route_with(
    route: Route, service: Mapping[str, Any], backends: Mapping[Component, tuple[Backend, ...]]
) -> Route:
    """Return a route on which each component's requests go to its revisions by their shares."""
    settings = read_rollout_settings(service)
    way = Way(settings.tagged, settings.sticky)
    parts = tuple(
        replace(c, backends=backends.get(c.component, c.backends), way=way)
        for c in route.components
    )
    front = Component.TRANSFORMER
    if front not in {c.component for c in parts}:
        front = Component.PREDICTOR
    own = backends.get(front, route.backends)
    if parts:  # the hosts of tags are the component's
        own = tuple(replace(backend, hosts=()) for backend in own)
    return replace(route, backends=own, components=parts, way=way)


def _share(
    snapshot: Snapshot, settings: RolloutSettings, workload: Workload, canaries: list[Workload]
) -> Sharing:
    """Return who shares the requests of a component that is planned as `workload`."""
    base = replace(workload, canary_percent=None) if canaries else workload
    running, rollout = _resolve(snapshot, settings, base)
    found = Sharing(rollout, [_scaled(w, snapshot.scales) for w in running], canaries)
    # A canary has a fixed number of replicas, so that nothing would wake one of none.
    needed = frozenset(c.name for c in canaries if c.share)
    if settings.mirror:  # what gets copies alone runs for them
        needed |= select_copied(found)
    kept = [[_kept(w, needed) for w in ws] for ws in (found.revisions, canaries)]
    found = replace(found, revisions=kept[0], canaries=kept[1])
    if canaries:
        ready = _ready_replicas(snapshot.observed, canaries)
        found = replace(found, revisions=[_reduce(found.revisions[0], ready), *running[1:]])
    return found


def _kept(workload: Workload, needed: frozenset[str]) -> Workload:
    if workload.name not in needed or workload.replicas:
        return workload
    scaling = replace(workload.scaling, minimum=max(1, workload.scaling.minimum or 0))
    return replace(workload, replicas=1, scaling=scaling)


def _reduce(stable: Workload, ready: int) -> Workload:
    """Return the stable workload with as many replicas fewer as its canaries have ready."""
    reduced = reduce_stable(stable, ready)
    if reduced is stable or stable.scale is not None or reduced.scaling.minimum is None:
        return reduced
    return replace(reduced, replicas=min(stable.replicas, reduced.scaling.minimum))


def _resolve(
    snapshot: Snapshot, settings: RolloutSettings, workload: Workload
) -> tuple[list[Workload], Rollout]:
    """Return the workloads of the revisions that are needed, the newest first."""
    history, component = snapshot.history, workload.component
    assert history is not None  # noqa: S101 # asked only where there is one
    status = snapshot.service.get("status") or {}
    known = Known(
        revisions=history.of(component),
        status=(status.get("components") or {}).get(component.value) or {},
        settings=settings,
        observed=snapshot.observed,
        now=snapshot.now,
        notes=read_notes(status, component),
        verdict=snapshot.verdicts.get(component),
    )
    rollout = _named_apart(derive_rollout(known, workload))
    newest = replace(workload, name=rollout.created.workload, base=workload.name)
    running, missing = [newest], set()
    for revision in _needed(rollout):
        kept = history.workloads.get(revision.name)
        if kept is None:
            missing.add(revision.name)
        else:
            running.append(_make_revision(kept, revision))
    return running, replace(rollout, missing=frozenset(missing))


def _make_revision(kept: Workload, revision: Revision) -> Workload:
    return replace(kept, name=revision.workload, base=revision.base, role=Role.REVISION)


def _needed(rollout: Rollout) -> Iterator[Revision]:
    """Yield the revisions with workloads of their own beside the newest one's."""
    told = {rollout.created.workload}
    for target in rollout.targets:
        if target.revision.workload not in told:
            told.add(target.revision.workload)
            yield target.revision


def _named_apart(rollout: Rollout) -> Rollout:
    """Give an older revision a name of its own where the newest one, which is ready, took over the
    workload of it; until that is ready the older one answers there.
    """
    if rollout.ready != rollout.created:
        return rollout
    taken = rollout.created.workload

    def apart(target: Target) -> Target:
        revision = target.revision
        if revision == rollout.created or revision.workload != taken:
            return target
        name = make_revision_name(revision.base, revision.number)
        return replace(target, revision=replace(revision, workload=name))

    return replace(rollout, targets=tuple(apart(t) for t in rollout.targets))


def _scaled(workload: Workload, scales: Mapping[str, Scale]) -> Workload:
    scale = scales.get(workload.name)
    return workload if scale is None else replace(workload, replicas=scale.replicas, scale=scale)


def _ready_replicas(observed: Observed, workloads: list[Workload]) -> int:
    names = {w.name for w in workloads}
    return sum(
        r.ready and r.running and not r.draining
        for w in observed.workloads
        if w.name in names
        for r in w.replicas
    )
