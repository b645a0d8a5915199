"""The operator: caches that follow the cluster, and workers that act while it holds the lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from sampan.machinery.clock import Clock
from sampan.machinery.events import EventRecorder
from sampan.machinery.store import Key
from sampan.operator.applying import Applier
from sampan.operator.cluster import OWN, Cluster
from sampan.operator.election import Election, ElectionTimes
from sampan.operator.finalizing import SERVICES
from sampan.operator.following import Followed, Following
from sampan.operator.graphs import GRAPHS, GraphReconciler
from sampan.operator.remembered import Remembered
from sampan.operator.services import Parts, ServiceReconciler, Warn
from sampan.operator.settings import SettingsReader
from sampan.operator.work import Work, followed_plurals, select_teller
from sampan.platforms.kubernetes.kinds import CHILD_KINDS, CONFIG_MAPS, LEASES, PODS

log = logging.getLogger(__name__)

COMPONENT = "sampan-operator"
LEASE = "sampan-operator"


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """`identity` tells operators apart; `namespace` holds the lease and the configuration.

    `watched` are the namespaces that it looks after; none: all of them. An operator of some has
    no rights on what is the cluster's, and does without: runtimes are those of the namespaces, and
    what webhooks do it does itself. `activator`: there is one for services of Sampan's own class.
    """

    identity: str
    namespace: str = "kserve"
    times: ElectionTimes = ElectionTimes()
    watched: tuple[str, ...] = ()
    activator: bool = False


class Operator:
    """One operator of a cluster; several may run, and one of them acts."""

    def __init__(
        self, cluster: Cluster, clock: Clock, options: OperatorOptions, warn: Warn
    ) -> None:
        self.cluster = cluster
        self._clock = clock
        recorder = EventRecorder(cluster.store, clock, COMPONENT)
        reader = SettingsReader(cluster.config, options.namespace)
        alone = bool(options.watched)
        parts = Parts(
            cluster, Applier(cluster), reader, recorder, clock, warn, alone, options.activator
        )
        cluster.remembered = Remembered(cluster.store, clock)
        services, graphs = ServiceReconciler(parts), GraphReconciler(parts)
        self.work = Work(cluster, clock, {SERVICES: services.reconcile, GRAPHS: graphs.reconcile})
        lease = Key(LEASES.id, options.namespace, LEASE)
        self.election = Election(cluster.store, clock, lease, options.identity, options.times)
        for followed in self._followed(options):
            name = CONFIG_MAPS.id if followed.cache is cluster.config else followed.resource.id
            if name in cluster.followings:  # the same in a further namespace
                name = f"{name}/{followed.namespace}"
            cluster.followings[name] = Following(cluster.store, clock, followed)

    async def run(self) -> None:
        """Follow the cluster, and act while holding the lease, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for following in self.cluster.followings.values():
                group.create_task(following.run())
            await self.synced()
            await self.election.run(self.work.run)

    async def synced(self) -> None:
        """Wait until everything that is followed has been listed once."""
        for following in self.cluster.followings.values():
            await following.known.wait()

    def _followed(self, options: OperatorOptions) -> Iterator[Followed]:
        for place in options.watched or ("",):
            yield from self._followed_in(place)
        yield Followed(CONFIG_MAPS, self.cluster.config, self.work.add_all, options.namespace)

    def _followed_in(self, place: str) -> Iterator[Followed]:
        """Yield what is followed in one namespace; "": in all, and what is of none."""
        cluster, work = self.cluster, self.work
        for plural in followed_plurals():
            tell = select_teller(work, plural)
            if OWN[plural].namespaced or not place:
                yield Followed(OWN[plural], cluster.own[plural], tell, place)
        for kind in CHILD_KINDS:
            cache = cluster.children[kind.resource.id]
            yield Followed(kind.resource, cache, work.add_owner, place, appeared=work.add_all)
        yield Followed(PODS, cluster.pods, work.add_pod, place)
