"""From what is there to what should be, as steps. Pure.

Rules of an update (Kubernetes's rolling update with maxUnavailable 0): a replica of the old
template goes only when enough new ones are ready *and* the gateway sends them requests; replicas
that are not ready serve nobody and go at once. The gateway loses a replica's address before the
replica is stopped. Where the old must go before the new comes (Recreate), requests wait at the
activator meanwhile.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sampan.gateway.table import Cluster, Endpoint, Share, TableRoute
from sampan.plan.observed import Link, LinkState, Observed, ObservedReplica, ObservedWorkload
from sampan.platforms.base import Difference
from sampan.platforms.local.desired import (
    Desired,
    DesiredWorkload,
    cluster_name,
    grpc_cluster_name,
)
from sampan.platforms.local.held import hold_workloads
from sampan.platforms.local.process_spec import make_replica_name
from sampan.platforms.local.steps import (
    BuildEnvironment,
    Fetch,
    Forget,
    LocalStep,
    Publish,
    RemoveModel,
    Restamp,
    StartReplica,
    StopReplica,
)

SURGE = 0.25
"""Share of the replicas that may run beside the wanted ones in an update (Kubernetes: 25 %)."""


@dataclass(frozen=True, slots=True)
class _Workload:
    """A workload as wanted and as seen, and the replicas that stay in the count.

    `routed`: requests lead to it; `held`: they wait at the activator now.
    """

    want: DesiredWorkload
    seen: ObservedWorkload
    routed: bool
    held: bool = False

    @property
    def prepared(self) -> bool:
        links = (self.seen.download, self.seen.environment)
        return self.fresh and all(link.state is LinkState.DONE for link in links)

    @property
    def fresh(self) -> bool:
        return self.seen.template_hash == self.want.template_hash

    def current(self) -> list[ObservedReplica]:
        return [r for r in _live(self.seen) if r.template_hash == self.want.template_hash]

    def old(self) -> list[ObservedReplica]:
        return [r for r in _live(self.seen) if r.template_hash != self.want.template_hash]


def diff(desired: Desired, observed: Observed, now: float) -> Difference[LocalStep]:
    """Return the steps from observed to desired, in the order to take them, and when to look again.

    Applied to what they were made for, they leave nothing to do until something else changes.
    """
    if desired.hold:
        return Difference(tuple(_hold(desired, observed)))
    restamped = {step.replica: step for step in _restamp(desired, observed)}
    pairs = _pair(desired, _as_restamped(observed, restamped))
    desired = hold_workloads(desired, [w.want.name for w in pairs if _must_hold(w)])
    victims = {w.want.name: _select_victims(w) for w in pairs}
    wanted = {w.name for w in desired.workloads}
    gone = [w for w in observed.workloads if w.name not in wanted]
    stopping = [r for found in victims.values() for r in found]
    stopping += [r for workload in gone for r in _live(workload)]
    names = {r.name for r in stopping}
    steps = [
        *restamped.values(),
        *(step for w in pairs for step in _prepare(w, now)),
        *(step for w in pairs for step in _start(w, names, now)),
        *_publish(desired, pairs, observed, names),
        *(StopReplica(r.name) for r in stopping),
        *(Forget(w.name) for w in gone if not w.replicas),
        *([RemoveModel()] if observed.mesh is not None else []),
    ]
    return Difference(tuple(steps), _wake_at(pairs, now))


def make_publication(route: TableRoute | None, clusters: tuple[Cluster, ...]) -> str:
    """Return what identifies a route and its endpoints ("" for none), as `Observed.published`."""
    if route is None:
        return ""
    return hashlib.sha256(repr((route, clusters)).encode()).hexdigest()[:16]


def select_endpoints(replicas: Iterable[ObservedReplica]) -> tuple[Endpoint, ...]:
    """Return the addresses of the replicas that can take requests, in order."""
    ready = [
        r.address.rpartition(":") for r in replicas if r.ready and not r.draining and r.address
    ]
    return tuple(sorted(Endpoint(host, int(port)) for host, _, port in ready))


def _restamp(desired: Desired, observed: Observed) -> Iterator[Restamp]:
    """Yield the replicas whose hash another version of Sampan made.

    Two versions' hashes cannot be compared, so such a replica counts as one of the present
    template: an upgrade restarts nothing, and the next change of the template is seen.
    """
    wanted = {w.name: w.template_hash for w in desired.workloads}
    for workload in observed.workloads:
        fresh = wanted.get(workload.name, "")
        for replica in workload.replicas if fresh else ():
            if _hash_version(replica.template_hash) != _hash_version(fresh):
                yield Restamp(replica.name, fresh)


def _hash_version(template_hash: str) -> str:
    return template_hash.partition("-")[0]


def _as_restamped(observed: Observed, steps: Mapping[str, Restamp]) -> Observed:
    if not steps:
        return observed

    def restamped(replica: ObservedReplica) -> ObservedReplica:
        step = steps.get(replica.name)
        return replace(replica, template_hash=step.template_hash) if step else replica

    return replace(
        observed,
        workloads=tuple(
            replace(w, replicas=tuple(map(restamped, w.replicas))) for w in observed.workloads
        ),
    )


def _pair(desired: Desired, observed: Observed) -> list[_Workload]:
    seen = {w.name: w for w in observed.workloads}
    routed = {share.cluster for share in _shares(desired.route)}
    return [
        _Workload(
            want,
            seen.get(want.name) or ObservedWorkload(want.name, want.component, "", Link(), Link()),
            cluster_name(desired.service, want.name) in routed,
            want.name in observed.held,
        )
        for want in desired.workloads
    ]


def _prepare(w: _Workload, now: float) -> Iterator[LocalStep]:
    if w.want.replicas == 0 and not w.want.prefetch:
        return
    download = w.seen.download if w.fresh else Link()
    environment = w.seen.environment if w.fresh else Link()
    problem = w.want.problem
    if problem is not None:
        told = (environment.reason, environment.message) == (problem.reason, problem.message)
        if environment.state is not LinkState.FAILED or not told:
            yield BuildEnvironment(w.want)
        return
    if _is_due(download, now):
        yield Fetch(w.want)
    if _is_due(environment, now):
        yield BuildEnvironment(w.want)


def _is_due(link: Link, now: float) -> bool:
    return link.state is LinkState.WAITING or (
        link.state is LinkState.FAILED and link.retry_at <= now
    )


def _start(w: _Workload, stopping: set[str], now: float) -> Iterator[LocalStep]:
    if not w.prepared or w.want.problem is not None:
        return
    current = [r for r in w.current() if r.name not in stopping]
    for replica in current:
        if _is_refused(replica) and _is_due(replica.load, now):
            yield StartReplica(w.want, replica.name)
    count = w.want.replicas - len(current)
    old = [r for r in w.old() if r.name not in stopping]
    if old:
        surge = max(1, math.ceil(w.want.replicas * SURGE))
        count = min(count, w.want.replicas + surge - len(current) - len(old))
    if w.want.strategy == "Recreate" and any(
        r.template_hash != w.want.template_hash for r in w.seen.replicas
    ):
        return
    taken = {r.name for r in w.seen.replicas}
    ordinal = 0
    while count > 0:
        name = make_replica_name(w.want, ordinal)
        if name not in taken:
            yield StartReplica(w.want, name)
            count -= 1
        ordinal += 1


def _is_refused(replica: ObservedReplica) -> bool:
    # The start of a replica is refused before there is a process: a ConfigMap is missing. What
    # was started is restarted by the launcher.
    return (
        replica.load.state is LinkState.FAILED
        and not replica.running
        and not replica.started_at
        and not replica.back_off_until
    )


def _select_victims(w: _Workload) -> list[ObservedReplica]:
    """Return the replicas to stop now, so that what serves never falls below what is wanted."""
    if w.want.replicas == 0:
        return _live(w.seen)
    current, old = w.current(), w.old()
    excess = max(0, len(current) - w.want.replicas)
    # Those that serve nobody first, then the youngest.
    by_worth = sorted(current, key=lambda r: (r.routed, r.ready, -r.created_at, r.name))
    victims, kept = by_worth[:excess], by_worth[excess:]
    if not old or not w.prepared or w.want.problem is not None:
        return victims
    if w.want.strategy == "Recreate":
        # Their requests are held first: else those of a moment would find nobody.
        may_go = w.held or not w.routed or not any(r.ready for r in old)
        return [*victims, *old] if may_go else victims
    serving = sum(r.ready and (r.routed or not w.routed) for r in kept)
    ready = sorted((r for r in old if r.ready), key=lambda r: (r.created_at, r.name))
    spare = max(0, min(len(ready), serving + len(ready) - w.want.replicas))
    return [*victims, *(r for r in old if not r.ready), *ready[:spare]]


def _must_hold(w: _Workload) -> bool:
    """Return whether requests wait until the replicas of the new template are up (Recreate).

    They wait for what comes up, not for what has failed: then they are answered 503 at once.
    """
    if w.want.strategy != "Recreate" or not w.routed or not w.want.replicas:
        return False
    current = w.current()
    if any(r.load.state is LinkState.FAILED for r in current):
        return False
    leaving = any(r.template_hash != w.want.template_hash for r in w.seen.replicas)
    if leaving:
        return w.held or (w.prepared and w.want.problem is None)
    return w.held and not any(r.ready for r in current)


def _publish(
    desired: Desired, pairs: list[_Workload], observed: Observed, stopping: set[str]
) -> Iterator[LocalStep]:
    clusters = tuple(
        cluster
        for w in pairs
        if w.routed
        for cluster in make_clusters(
            desired, w.want, [r for r in w.seen.replicas if r.name not in stopping]
        )
    )
    if make_publication(desired.route, clusters) != observed.published:
        yield Publish(desired.route, clusters)


def make_clusters(
    desired: Desired, workload: DesiredWorkload, replicas: Iterable[ObservedReplica]
) -> Iterator[Cluster]:
    """Yield the clusters of a workload: one, and for gRPC another with the same endpoints."""
    endpoints, path = select_endpoints(replicas), workload.health_path
    places = workload.concurrency
    first = cluster_name(desired.service, workload.name)
    yield Cluster(first, endpoints, path, concurrency=places)
    name = grpc_cluster_name(desired.service, workload.name)
    if name in {share.cluster for share in _shares(desired.route, grpc=True)}:
        yield Cluster(name, endpoints, path, http2=True, concurrency=places)


def _shares(route: TableRoute | None, *, grpc: bool = False) -> Iterator[Share]:
    """Yield the shares of a service's route and of its components'."""
    if route is None:
        return
    yield from route.grpc_shares if grpc else route.shares
    for part in route.components:
        yield from part.grpc_shares if grpc else part.shares


def _hold(desired: Desired, observed: Observed) -> Iterator[LocalStep]:
    """Keep the endpoints true while a decision is blocked: replicas restart and change ports."""
    if not observed.published:
        return
    stale = any(
        r.ready != r.routed and not r.draining for w in observed.workloads for r in w.replicas
    )
    if stale:
        clusters = tuple(
            Cluster(name(desired.service, w.name), select_endpoints(w.replicas))
            for w in observed.workloads
            for name in (cluster_name, grpc_cluster_name)
        )
        yield Publish(None, clusters, keep_route=True)


def _live(workload: ObservedWorkload) -> list[ObservedReplica]:
    return [r for r in workload.replicas if not r.draining]


def _wake_at(pairs: list[_Workload], now: float) -> float:
    links = [
        link
        for w in pairs
        if w.want.problem is None
        for link in (
            w.seen.download,
            w.seen.environment,
            *(r.load for r in w.seen.replicas if _is_refused(r)),
        )
    ]
    due = [k.retry_at for k in links if k.state is LinkState.FAILED and k.retry_at > now]
    return min(due, default=0.0)
