"""From the components that should be to the revisions of them that run, and their shares. Pure.

A platform that makes revisions by itself (Knative) has none of this: its snapshots have no history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sampan.plan.canary import reduce_stable
from sampan.plan.observed import Observed
from sampan.plan.revision import Revision, Rollout, Target, make_revision_name
from sampan.plan.rollout import Known, derive_rollout
from sampan.plan.rollout_notes import read_notes
from sampan.plan.rollout_settings import read_rollout_settings
from sampan.plan.scaling import Scale
from sampan.plan.traffic import move_shares, split
from sampan.plan.types import Backend, Component, Role, Route, Snapshot, Workload


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
    workloads: list[Workload] = []
    rollouts, backends = [], {}
    canaries = [w for w in planned if w.role is Role.CANARY]
    for workload in planned:
        if workload.role is Role.CANARY:
            continue
        if workload.role is not Role.STABLE:
            workloads.append(workload)
            continue
        own = canaries if workload.component is Component.PREDICTOR else []
        base = replace(workload, canary_percent=None) if own else workload
        running, rollout = _resolve(snapshot, base)
        running = [_scaled(w, snapshot.scales) for w in running]
        taken = [_scaled(w, snapshot.scales) for w in own]
        if taken:
            running[0] = reduce_stable(running[0], _ready_replicas(snapshot.observed, taken))
        workloads += [*running, *taken]
        rollouts.append(rollout)
        backends[workload.component] = _make_backends(snapshot.observed, rollout, running, taken)
    return Resolution(tuple(workloads), backends, tuple(rollouts))


def route_with(route: Route, backends: Mapping[Component, tuple[Backend, ...]]) -> Route:
    """Return a route on which each component's requests go to its revisions by their shares."""
    if not route.components:
        return replace(route, backends=backends.get(Component.PREDICTOR, route.backends))
    parts = tuple(
        replace(c, backends=backends.get(c.component, c.backends)) for c in route.components
    )
    front = Component.TRANSFORMER
    if front not in {c.component for c in parts}:
        front = Component.PREDICTOR
    return replace(route, backends=backends.get(front, route.backends), components=parts)


def _resolve(snapshot: Snapshot, workload: Workload) -> tuple[list[Workload], Rollout]:
    """Return the workloads of the revisions that are needed, the newest first."""
    history, component = snapshot.history, workload.component
    assert history is not None  # noqa: S101 # asked only where there is one
    status = snapshot.service.get("status") or {}
    known = Known(
        revisions=history.of(component),
        status=(status.get("components") or {}).get(component.value) or {},
        settings=read_rollout_settings(snapshot.service),
        observed=snapshot.observed,
        now=snapshot.now,
        notes=read_notes(status, component),
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


def _make_backends(
    observed: Observed, rollout: Rollout, running: list[Workload], canaries: list[Workload]
) -> tuple[Backend, ...]:
    """Return the shares: canaries that are ready take theirs, revisions what is left.

    What has no share is there as well: the gateway finds it healthy before it gets one.
    """
    able = {w.name: _can_serve(observed, w) for w in (*running, *canaries)}
    shares = dict.fromkeys([w.name for w in running], 0)
    for target in rollout.targets:
        name = target.revision.workload
        name = name if name in shares else running[0].name
        shares[name] += target.percent
    taken = [c.share if able[c.name] else 0 for c in canaries]
    moved = move_shares(tuple(shares.values()), [able[name] for name in shares])
    left = split(100 - sum(taken), moved)
    named = [*zip(shares, left, strict=True)]
    named += [*zip((c.name for c in canaries), taken, strict=True)]
    return tuple(Backend(name, weight) for name, weight in named)


def _can_serve(observed: Observed, workload: Workload) -> bool:
    """Return whether requests are answered: a replica is ready and routed, or they are held."""
    if workload.scale is not None and workload.scale.held:
        return True
    seen = next((w for w in observed.workloads if w.name == workload.name), None)
    return any(r.ready and r.routed and not r.draining for r in (seen.replicas if seen else ()))


def _ready_replicas(observed: Observed, workloads: list[Workload]) -> int:
    names = {w.name for w in workloads}
    return sum(
        r.ready and r.running and not r.draining
        for w in observed.workloads
        if w.name in names
        for r in w.replicas
    )
