"""The activator of a cluster at work: what is followed becomes routes, what is decided replicas.

Wiring of the laptop's own parts: its gateway, activator and autoscaler. Only where replicas come
from and go to is another: a Deployment's scale, and the EndpointSlices of its pods.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sampan.activator.activator import Activator, Refusal, World
from sampan.app.activation_events import ActivationEvents
from sampan.app.activation_peers import Activity, Peers
from sampan.app.activation_scales import ScaleWriter, Wanted
from sampan.app.activation_signals import ClusterSignals
from sampan.app.activation_view import ServedView, Starts, describe_wait, make_plan
from sampan.app.activation_wakes import Wakes
from sampan.app.cold_starts import ColdStarts
from sampan.app.operator_tracing import make_tracing
from sampan.autoscaler.signal import Traffic
from sampan.controllers.autoscaling import Autoscaling, Tools
from sampan.controllers.scaled_workload import ScaledWorkload
from sampan.controllers.scaling_settings import gather_defaults
from sampan.gateway.errors import GatewayError
from sampan.gateway.listener import Gateway
from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError, NotFound
from sampan.operator.serverless import ServerlessCluster
from sampan.plan.observed import NOTHING
from sampan.plan.types import ServiceKey
from sampan.platforms.kubernetes.serverless import TERMS
from sampan.platforms.kubernetes.serverless_slices import (
    Doors,
    choose_doors,
    diff_slices,
    make_slice,
    select_addresses,
)
from sampan.platforms.kubernetes.serverless_table import Served, make_table, select_behind

log = logging.getLogger(__name__)

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
        self._leading = False
        self._told_unread: tuple[str, ...] = ()
        self.events = ActivationEvents()
        self.writer = ScaleWriter(clock, self.events.failed)
        self.cluster: ServerlessCluster
        self.ready = False
        """Whether the gateway has served once what the cluster says."""
        self.cold_starts = ColdStarts(make_tracing())
        self._starts = Starts(clock)
        world = World(
            self._wake,
            gateway.active,
            self._reason,
            self._starts.find,
            self.cold_starts.note,
            self._refusal,
        )
        self.activator = Activator(world)
        self._wakes = Wakes(self.writer, self.find_sleeper)
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
                again = await self._converge()
            except (ApiError, GatewayError) as error:
                log.warning("%s; it is tried again", error.message)
                await self._clock.sleep(RETRY_SECONDS)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(again):
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
            self.changed()

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

    def own_traffic(self) -> Sequence[Traffic]:
        """Return what was last read of this one's own Envoy, by workload."""
        return tuple(self._signals.own.values())

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

    async def _converge(self) -> float | None:
        """Take in what is there, serve it, and write what is decided: replicas, and the slices of
        doors that are open by then. Return in how many seconds to come again; None: when told.
        """
        found = self.cluster.served()
        self._warn_of_unread()
        if self._leading:
            known = {key: one.door for key, one in self._served.items()}
            doors = choose_doors(found, self._place.doors, known)
            self._warn_of_missing(found, doors)
            found = tuple(replace(one, door=doors.get(one.key, 0)) for one in found)
        before = self._served
        gone = self._take_in(found)
        await self._hold_first(before, found)
        await self._gateway.apply(make_table(found, self._is_held))
        self.ready = True
        for key in gone:
            self.activator.refuse(key)
        if not self._leading:
            self._wakes.look(self.cluster, self._waited_for())
            return None
        again = await self._write_scales(found)
        await self._write_slices(found)
        return again

    async def _hold_first(self, before: Mapping[str, Served], found: Sequence[Served]) -> None:
        """Have Envoy hold what has just lost its last pod before it loses the address of that: a
        pod that ends answers for a while, and no request may come between.
        """
        kept = {
            one.key: replace(one, rest=last.rest, grpc=last.grpc)
            for one in found
            if not one.rest and (last := before.get(one.key)) is not None and last.rest
            if not self.activator.is_held(one.key)
        }
        if kept:
            served = [kept.get(one.key, one) for one in found]
            table = make_table(served, lambda one: one.key in kept or self._is_held(one))
            await self._gateway.apply(table)

    def _take_in(self, found: Sequence[Served]) -> frozenset[str]:
        """Know these from now on; return the keys of those that are gone."""
        gone = frozenset(self._served) - {one.key for one in found}
        for key in gone:
            plan = make_plan(self._served[key])
            self.autoscaling.note(replace(plan, workloads=()), NOTHING, MODE)
            self._view.forget(key)
            self._starts.forget(key)
            self._agreed.pop(key, None)
            self.writer.forget(key)
        self._served = {one.key: one for one in found}
        for one in found:
            self._starts.note(one)
        for one in found if self._leading else ():
            held = self.activator.is_held(one.key) or one.replicas == 0
            self.autoscaling.note(make_plan(one), self._view.observe(one, held=held), MODE)
        return gone

    def _is_held(self, one: Served) -> bool:
        """What has no pod that is ready is held as well: its requests wait rather than fail."""
        if not one.rest or not self._leading:
            return not one.rest or one.key in self._peers.to_hold()
        decided = self._decided(one)
        return decided is not None and decided[1]

    def _decided(self, one: Served) -> tuple[int, bool] | None:
        scale = self.autoscaling.scales(make_plan(one).service).get(one.name)
        return (scale.replicas, scale.held) if scale else None

    async def _write_scales(self, found: Sequence[Served]) -> float | None:
        wanted = []
        for one in found:
            decided = self._decided(one)
            if decided is None:
                continue
            agreed = self._agreed.get(one.key)
            if decided[0] == one.replicas:
                self._agreed[one.key] = one.replicas
                self.writer.forget(one.key)
            elif decided[0] == 0 == agreed:
                self.autoscaling.wake(one.key)  # somebody else woke it: not to be undone
            else:
                wanted.append(Wanted(one, decided[0]))
                if decided[0] == agreed:
                    self._agreed.pop(one.key)
                    await self.events.corrected(one, agreed)
        return await self.writer.write(self.cluster, wanted, lambda: self._leading)

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
        writes, gone = diff_slices(wanted, known, self.cluster.unread)
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

    def _warn_of_unread(self) -> None:
        if self.cluster.unread and self.cluster.unread != self._told_unread:
            log.error(
                'the annotation "%s" of Deployments "%s" cannot be read, and what it said before '
                "holds; take off what was edited, or install activators of the operator's version",
                *(TERMS, '", "'.join(self.cluster.unread)),
            )
        self._told_unread = self.cluster.unread

    def _wake(self, workload: str) -> None:
        """Wake a workload, and beside it those that it will ask."""
        one = self._served.get(workload)
        if one is None:
            return  # it is looked at once it is known
        asleep = [o for o in select_behind(one, self._served.values()) if o.replicas == 0]
        if not self._leading:
            self._wakes.look(self.cluster, (one.key, *(other.key for other in asleep)))
            return
        for each in (one, *asleep):
            self.autoscaling.wake(each.key)

    def _waited_for(self) -> list[str]:
        return [key for key in self._served if self.activator.waiting(key)]

    def find_sleeper(self, workload: str) -> Served | None:
        """Return a workload that nobody has woken yet and that this one is to wake, which is not
        the one who decides; None: there is nothing to do.
        """
        one = None if self._leading else self._served.get(workload)
        return one if one is not None and one.replicas == 0 else None

    def _refusal(self, workload: str) -> Refusal | None:
        """Nobody waits for what is gone; until everything is known once, nothing is."""
        if workload in self._served or not self.ready:
            return None
        text = "its service was deleted or stopped, or has another autoscaler class now"
        return Refusal(text, 1.0)

    def _note(self, _: ServiceKey) -> None:
        self.changed()

    async def _reason(self, workload: str) -> str:
        one = self._served.get(workload)
        if one is None:
            return "it is not looked after any more"
        return describe_wait(one, self.writer.trouble(workload))

    async def _announce(self, workload: ScaledWorkload) -> None:
        one = self._served.get(workload.key)
        if one is not None:
            await self.events.rescaled(one, workload.scale)
