"""The activator of a cluster at work: what is followed becomes routes, what is decided replicas.

Wiring of the laptop's own parts: its gateway, activator and autoscaler. Only where replicas come
from and go to is another: a Deployment's scale, and the EndpointSlices of its pods.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sampan.activator.activator import Activator, World
from sampan.app.activation_peers import Activity, Peers
from sampan.app.activation_signals import ClusterSignals
from sampan.app.activation_view import ServedView, describe_wait, make_owner, make_plan
from sampan.controllers.autoscaling import Autoscaling, Tools
from sampan.controllers.scaled_workload import ScaledWorkload
from sampan.controllers.scaling_settings import gather_defaults
from sampan.gateway.errors import GatewayError
from sampan.gateway.listener import Gateway
from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError, NotFound
from sampan.machinery.events import EventRecorder
from sampan.operator.serverless import ServerlessCluster
from sampan.plan.events import NORMAL, PlannedEvent
from sampan.plan.observed import NOTHING
from sampan.plan.types import ServiceKey
from sampan.platforms.kubernetes.serverless_slices import (
    Doors,
    choose_doors,
    diff_slices,
    make_slice,
    select_addresses,
)
from sampan.platforms.kubernetes.serverless_table import Served, make_table

log = logging.getLogger(__name__)

RESCALED = "SuccessfulRescale"
"""Kubernetes's own reason for an event of an autoscaler."""
MODE = "Standard"
CONFIGURATION_SECONDS = 30.0
"""Between looks at `config-autoscaler`: it is one object of another namespace, read by its name."""
RETRY_SECONDS = 0.5
"""Until what could not be written is tried again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where this activator is: its own namespace, and the ports that it gives out."""

    namespace: str
    doors: Doors = Doors()


@dataclass(frozen=True, slots=True)
class AllHolders:
    """All activators as the one who decides sees them (`sampan.controllers.autoscaling.Holder`)."""

    own: Activator
    peers: Peers

    def is_held(self, workload: str) -> bool:
        """Tell whether none of them lets a request of a workload pass."""
        return self.own.is_held(workload) and self.peers.hold(workload)

    def waiting(self, workload: str) -> int:
        """Return how many requests wait at any of them."""
        return self.own.waiting(workload) + self.peers.waiting(workload)


class ClusterActivation:
    """One activator. `run` drives it, `lead` decides and writes while it holds the lease."""

    def __init__(
        self, gateway: Gateway, signals: ClusterSignals, peers: Peers, clock: Clock, place: Place
    ) -> None:
        self._gateway = gateway
        self._signals = signals
        self._peers = peers
        peers.changed = self.changed
        self._clock = clock
        self._place = place
        self._changed = asyncio.Event()
        self._view = ServedView(clock)
        self._served: Mapping[str, Served] = {}
        self._agreed: dict[str, int] = {}
        """How many replicas were both decided and asked for last, by workload."""
        self._raising: set[asyncio.Task[None]] = set()
        self._leading = False
        self.cluster: ServerlessCluster
        self.recorder: EventRecorder
        self.ready = False
        """Whether the gateway has served once what the cluster says."""
        self.scaled = 0
        """How often a number of replicas was written."""
        world = World(self._wake, gateway.active, self._reason)
        self.activator = Activator(world)
        gateway.follower = self.activator
        holder = AllHolders(self.activator, peers)
        self._tools = Tools(signals, clock, self._note, self._announce, holder)
        self.autoscaling = Autoscaling(self._tools)

    def changed(self) -> None:
        """Look at everything again: something that is followed has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Serve what the cluster says until cancelled."""
        await self.cluster.synced()
        while True:
            self._changed.clear()
            try:
                await self._converge()
            except (ApiError, GatewayError) as error:
                log.warning("%s; it is tried again", error.message)
                await self._clock.sleep(RETRY_SECONDS)
                continue
            await self._changed.wait()

    async def lead(self) -> None:
        """Decide how many replicas there are, and write it, until cancelled.

        What there is when it begins is where it begins from, whoever decided before.
        """
        self.autoscaling = Autoscaling(self._tools)
        self._agreed.clear()
        self._leading = True
        self.changed()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.autoscaling.run())
                group.create_task(self._configure())
        finally:
            self._leading = False

    async def _configure(self) -> None:
        """Follow `config-autoscaler`; without it, or the right to read it, defaults hold."""
        while True:
            try:
                defaults = await gather_defaults(self.cluster.store)
            except ApiError as error:
                log.warning("config-autoscaler cannot be read now: %s", error.message)
            else:
                if defaults != self.autoscaling.defaults:
                    self.autoscaling.configure(defaults)
                    self.changed()
            await self._clock.sleep(CONFIGURATION_SECONDS)

    def holds(self) -> int:
        """Return how many requests wait."""
        return sum(self.activator.waiting(key) for key in self._served)

    async def activity(self, identity: str) -> Activity:
        """Return what the other activators must know of this one."""
        own = self._signals.own if self._leading else await self._signals.read_own()
        held = frozenset(filter(self.activator.is_held, self._served))
        waiting = {key: self.activator.waiting(key) for key in held}
        to_hold = [o.key for o in self.looked_after() if self._leading and self._is_held(o)]
        return Activity(identity, self._leading, own, waiting, held, frozenset(to_hold))

    def looked_after(self) -> Sequence[Served]:
        """Return the workloads that are looked after now."""
        return tuple(self._served.values())

    async def _converge(self) -> None:
        """Take in what is there, serve it, and write what is decided: replicas, and the slices of
        doors that are open by then.
        """
        found = self.cluster.served()
        if self._leading:
            doors = choose_doors(found, self._place.doors)
            self._warn_of_missing(found, doors)
            found = tuple(replace(one, door=doors.get(one.key, 0)) for one in found)
        self._take_in(found)
        await self._gateway.apply(make_table(found, self._is_held))
        self.ready = True
        if self._leading:
            await self._write_scales(found)
            await self._write_slices(found)

    def _take_in(self, found: Sequence[Served]) -> None:
        gone = self._served.keys() - {one.key for one in found}
        for key in gone:
            plan = make_plan(self._served[key])
            self.autoscaling.note(replace(plan, workloads=()), NOTHING, MODE)
            self._view.forget(key)
            self._agreed.pop(key, None)
        self._served = {one.key: one for one in found}
        for one in found if self._leading else ():
            held = self.activator.is_held(one.key) or one.replicas == 0
            self.autoscaling.note(make_plan(one), self._view.observe(one, held=held), MODE)

    def _is_held(self, one: Served) -> bool:
        """What has no pod that is ready is held as well: its requests wait rather than fail."""
        if not one.rest or not self._leading:
            return not one.rest or one.key in self._peers.to_hold()
        decided = self._decided(one)
        return decided is not None and decided[1]

    def _decided(self, one: Served) -> tuple[int, bool] | None:
        scale = self.autoscaling.scales(make_plan(one).service).get(one.name)
        return (scale.replicas, scale.held) if scale else None

    async def _write_scales(self, found: Sequence[Served]) -> None:
        for one in found:
            decided = self._decided(one)
            if decided is None:
                continue
            if decided[0] == one.replicas:
                self._agreed[one.key] = one.replicas
                continue
            if decided[0] == 0 == self._agreed.get(one.key):
                self.autoscaling.wake(one.key)  # somebody else woke it: not to be undone
                continue
            try:
                await self.cluster.write_scale(one, decided[0])
            except NotFound:
                continue  # deleted meanwhile
            self.scaled += 1

    async def _write_slices(self, found: Sequence[Served]) -> None:
        known = self.cluster.slices()
        addresses = select_addresses(known, self._place.namespace)
        if not addresses:
            return  # until one activator is known to be ready, whoever was asked before stays
        wanted = [
            make_slice(one, one.door, (one.terms.rest, one.terms.grpc), addresses)
            for one in found
            if one.door
        ]
        writes, gone = diff_slices(wanted, known)
        for one in writes:
            await self.cluster.write_slice(one)
        for one in gone:
            try:
                await self.cluster.delete_slice(one)
            except NotFound:
                continue

    def _warn_of_missing(self, found: Sequence[Served], doors: Mapping[str, int]) -> None:
        missing = [one.key for one in found if one.key not in doors]
        if missing:
            log.error('no port is left for "%s"; widen "--doors"', '", "'.join(missing))

    def _wake(self, workload: str) -> None:
        if self._leading:
            self.autoscaling.wake(workload)
            return
        one = self._served.get(workload)
        if one is not None and one.replicas == 0:
            task = asyncio.create_task(self._raise(one))
            self._raising.add(task)
            task.add_done_callback(self._raising.discard)

    async def _raise(self, one: Served) -> None:
        """Wake what sleeps without being the one who decides: he will see it."""
        try:
            await self.cluster.write_scale(one, 1)
        except ApiError as error:
            log.warning('"%s" cannot be woken now: %s', one.key, error.message)

    def _note(self, _: ServiceKey) -> None:
        self.changed()

    async def _reason(self, workload: str) -> str:
        one = self._served.get(workload)
        return describe_wait(one) if one else "it is not looked after any more"

    async def _announce(self, workload: ScaledWorkload) -> None:
        one = self._served.get(workload.key)
        owner = make_owner(one) if one else None
        if owner is None:
            return
        scale = workload.scale
        text = f'New size of "{workload.name}": {scale.replicas}; reason: {scale.reason}'
        await self.recorder.record(owner, PlannedEvent(NORMAL, RESCALED, text))
