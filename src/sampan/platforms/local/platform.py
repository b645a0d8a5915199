"""The local platform: workloads as processes of this machine, behind Envoy.

Thin. What should exist is `render`'s, what to do about it `diff`'s; here steps meet the launcher,
the gateway and the background work, and what they know becomes `Observed`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from sampan.gateway.table import Endpoint
from sampan.machinery.errors import ApiError
from sampan.plan.observed import (
    NOTHING,
    Link,
    Observed,
    ObservedReplica,
)
from sampan.plan.replicas import INSUFFICIENT_MEMORY
from sampan.plan.types import Plan, ServiceKey
from sampan.platforms.base import Difference
from sampan.platforms.local.addresses import Addresses
from sampan.platforms.local.changes import Changes
from sampan.platforms.local.collocation import make_replica_process
from sampan.platforms.local.container_env import select_inherited
from sampan.platforms.local.desired import Desired, DesiredWorkload, cluster_name
from sampan.platforms.local.devices import (
    INSUFFICIENT,
    DevicesTaken,
    Reservation,
    count_wanted,
    make_variables,
    select_devices,
)
from sampan.platforms.local.diff import diff
from sampan.platforms.local.held import hold
from sampan.platforms.local.modelmesh import MeshModels
from sampan.platforms.local.modelmesh_diff import diff_model
from sampan.platforms.local.observation import (
    make_observed,
    make_observed_replica,
    make_route_link,
)
from sampan.platforms.local.platform_parts import LocalSettings, Parts
from sampan.platforms.local.pod_folder import ConfigError, collect_folders, make_env, make_folder
from sampan.platforms.local.prefetch import Prefetching
from sampan.platforms.local.preparation import Preparation, Preparations, Tools
from sampan.platforms.local.process import ProcessState
from sampan.platforms.local.process_spec import Machine, Process, make_replica_name
from sampan.platforms.local.publishing import Publisher
from sampan.platforms.local.references import gather_values
from sampan.platforms.local.refusals import Refusals
from sampan.platforms.local.render import render, select_addressed
from sampan.platforms.local.room import tell_lacking
from sampan.platforms.local.route_record import read_routes, select_served_ports
from sampan.platforms.local.steps import (
    ActivateModel,
    BuildEnvironment,
    Fetch,
    Forget,
    LocalStep,
    PlaceModel,
    Publish,
    RemoveModel,
    Restamp,
    StartReplica,
    StopReplica,
)
from sampan.platforms.local.usage import observe_usage
from sampan.platforms.local.warnings import plan_warnings

_ADOPTION_SECONDS = 3.0
"""How long a new daemon waits for the first probe of replicas that serve already."""


class LocalPlatform:
    """`platforms.base.Platform` for this machine. Call `start` once before anything else.

    `changes_of` is the same object that the launcher's `on_change` notifies.
    """

    def __init__(self, settings: LocalSettings, parts: Parts, changes: Changes) -> None:
        self._layout = settings.layout
        self._settings = settings
        self._inherited = select_inherited(settings.environ)
        self._launcher = parts.launcher
        self._references = parts.references
        self._environments = parts.environments
        self._clock = parts.clock
        self._changes = changes
        search_path = settings.environ.get("PATH", "")
        self._preparations = Preparations(
            Tools(settings.layout, parts.environments, parts.fetch, settings.options, parts.clock,
                  search_path, self._warm, parts.access),
            changes.notify,
        )  # fmt: skip
        self._meshes = MeshModels(settings.layout, parts.fetch, settings.options, parts.clock,
                                  changes.notify)  # fmt: skip
        self._meshes.access = parts.access
        self._publisher = Publisher(parts.gateway, settings.layout, parts.clock, changes.notify)
        self._addresses = Addresses(settings.layout.addresses)
        self._devices = settings.devices(settings.environ)
        self._starting: dict[str, tuple[Reservation, ...]] = {}
        self._refusals = Refusals(parts.clock, changes.notify)
        self._tell_refused = parts.refused
        self._clearing: set[asyncio.Task[None]] = set()
        self._prefetching = Prefetching(self._preparations.take, changes.notify, parts.clock)
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take over what an earlier daemon left running, then keep the gateway true to it.

        Adopted replicas are unknown to be ready until probed; nothing may be decided before, or
        those that serve would lose their routes.
        """
        self._preparations.load()
        self._meshes.load()
        states = await self._launcher.adopt()
        collect_folders(self._layout, {s.spec.replica for s in states})
        alive = {_endpoint(s) for s in states if s.running and s.ports}
        self._addresses.load(select_served_ports(read_routes(self._layout)) if alive else ())
        await self._publisher.start(alive)
        waiting = {s.spec.replica for s in states if s.running and not s.draining}
        deadline = self._clock.now() + _ADOPTION_SECONDS
        while waiting and self._clock.now() < deadline:
            now = {s.spec.replica: s for s in self._launcher.states()}
            waiting = {r for r in waiting if r in now and now[r].running and not now[r].ready}
            await self._clock.sleep(0.02)
        for service in await self.services():
            self._changes.notify(service)
        self._keeping = asyncio.create_task(self._prefetching.run(), name="models at hand")

    async def close(self) -> None:
        """End the background work; replicas and the gateway are their owners' to close."""
        for task in filter(None, (*self._clearing, self._keeping)):
            task.cancel()  # the next start clears what is left
        await self._preparations.close()
        await self._meshes.close()
        await self._publisher.close()

    def render(self, plan: Plan) -> Desired:
        """Return what should exist here for the plan."""
        return hold(render(plan, self._settings.images(), self._assign(plan)), plan)

    def warnings(self, plan: Plan) -> tuple[tuple[str, str], ...]:
        """Return `(path, sentence)` for each field of the plan not honoured here."""
        return plan_warnings(plan, self._settings.images(), self._devices)

    def diff(self, desired: Desired, observed: Observed, now: float) -> Difference[LocalStep]:
        """Return the steps from observed to desired; none where they agree."""
        self._prefetching.note(desired)
        if desired.mesh is not None:
            return diff_model(desired, desired.mesh, observed, now)
        return diff(desired, observed, now)

    async def apply(self, service: ServiceKey, step: LocalStep) -> None:
        """Take one step."""
        match step:
            case Fetch(workload):
                self._preparations.fetch(workload)
            case BuildEnvironment(workload):
                self._preparations.build(workload)
            case StartReplica(workload, replica):
                await self._start(workload, replica)
            case StopReplica(replica):
                await self._stop(service, replica)
            case Restamp(replica, template_hash):
                self._launcher.restamp(replica, template_hash)
            case Publish():
                await self._publisher.publish(service, step)
            case Forget(name):
                await self._preparations.forget(service, name)
            case PlaceModel(model):
                self._meshes.place(service, model)
            case ActivateModel():
                self._meshes.activate(service)
            case RemoveModel():
                await self._meshes.remove(service)

    async def observe(self, service: ServiceKey) -> Observed:
        """Return what is there now for a service."""
        host = self._meshes.host_key(service)
        shared = await self._observe_own(host) if host is not None else NOTHING
        own = await self._observe_own(service)
        if host is not None:
            own = replace(own, route=shared.route)
        return replace(own, mesh=self._meshes.observe(service, shared.workloads))

    async def _observe_own(self, service: ServiceKey) -> Observed:
        """Return what is there of a service's own, or of the processes that several share."""
        self._meshes.forget_reports(service, [s.pid for s in self._states(service) if s.running])
        replicas = self._observe_replicas(service)
        prepared = {p.workload: p for p in self._preparations.of(service)}
        names = [*prepared, *(r.workload for r in replicas if r.workload not in prepared)]
        components = {s.spec.workload: s.spec.component for s in self._states(service)}
        workloads = tuple(
            make_observed(
                prepared.get(name) or Preparation(service, name, components.get(name, ""), ""),
                tuple(r for r in replicas if r.workload == name),
                self._prefetching.told(service, name),
            )
            for name in dict.fromkeys(names)
        )
        route = make_route_link(self._publisher.link(service), replicas)
        published, held = self._publisher.published(service), self._publisher.held(service)
        taken = self._publisher.is_taken(service)
        return Observed(workloads, route, published=published, held=held, taken=taken)

    async def services(self) -> tuple[ServiceKey, ...]:
        """Return every service of which something exists here."""
        found = {s.spec.service for s in self._launcher.states()}
        found |= self._refusals.services()
        found |= {*self._preparations.services(), *self._publisher.services()}
        return tuple(sorted(found, key=lambda s: (s.namespace, s.name)))

    def no_room(self, service: ServiceKey, workload: str) -> Link | None:
        """Return why no replica of a workload can be started here; None where one runs or may."""
        if any(s.running and s.spec.workload == workload for s in self._states(service)):
            return None
        return self._refusals.no_room(service, workload)

    def changes(self) -> AsyncIterator[ServiceKey]:
        """Yield a service whenever something observed of it changed."""
        return aiter(self._changes)

    def _assign(self, plan: Plan) -> Mapping[str, int]:
        """Return the ports of components; those of a blocked plan stay as they are."""
        if plan.blocked is not None:
            return {}
        return self._addresses.assign(plan.service, select_addressed(plan))

    def _states(self, service: ServiceKey) -> tuple[ProcessState, ...]:
        return self._launcher.states_of(service)

    def _observe_replicas(self, service: ServiceKey) -> tuple[ObservedReplica, ...]:
        found = []
        for state in self._states(service):
            replica = make_observed_replica(state)
            routed = self._publisher.is_routed(service, replica.address)
            found.append(replace(replica, routed=routed))
        return (*found, *self._refusals.replicas(service))

    async def _start(self, workload: DesiredWorkload, replica: str) -> None:
        models = self._preparations.take(workload)
        if models is None:
            return  # lost from a cache: it is being prepared again, and told
        held = self._held_devices(replica)
        try:
            own = select_devices(count_wanted(workload.template), self._devices, held)
        except DevicesTaken as error:
            self._refuse(workload, replica, INSUFFICIENT, str(error))
            return
        self._starting[replica] = own  # at once: others choose theirs while this one waits
        try:
            lacking = await self._lacking_memory(workload)
            if lacking:
                self._refuse(workload, replica, INSUFFICIENT_MEMORY, lacking)
                return
            process = self._make(workload, replica, make_variables(own, self._devices, held))
            values = await gather_values(process, self._references)
            env = make_env(process, values)
            make_folder(self._layout, process, models, values)
            await self._launcher.start(replace(process.spec, env=env, devices=own))
        except ConfigError as error:
            self._refusals.add(workload, replica, "CreateContainerConfigError", str(error))
        except (ApiError, OSError, ValueError) as error:
            self._refusals.add(workload, replica, "CreateContainerError", str(error))
        else:
            self._refusals.drop(replica)
        finally:
            del self._starting[replica]

    async def _lacking_memory(self, workload: DesiredWorkload) -> str:
        """Return why one more replica would make the machine swap, by those like it that run."""
        memory = self._settings.memory()
        if memory is None:
            return ""
        like = [
            state.pid
            for state in self._states(workload.service)
            if state.running and state.spec.component == workload.component
        ]
        used = await asyncio.to_thread(observe_usage, like) if like else {}
        each = max((usage.memory_bytes for usage in used.values()), default=0)
        return tell_lacking(memory, each)

    def _held_devices(self, replica: str) -> dict[str, tuple[Reservation, ...]]:
        """Return what every other replica has reserved, those that are being started among them."""
        if not any(self._devices.values()):
            return {}  # nothing to reserve: a thousand replicas are not looked through
        known = {state.spec.replica: state.spec.devices for state in self._launcher.states()}
        return {n: own for n, own in (known | self._starting).items() if own and n != replica}

    def _refuse(self, workload: DesiredWorkload, replica: str, reason: str, message: str) -> None:
        """Note that the machine has no room for a replica."""
        self._refusals.add(workload, replica, reason, message)
        self._tell_refused(cluster_name(workload.service, workload.name))

    async def _stop(self, service: ServiceKey, replica: str) -> None:
        if self._publisher.may_still_send(service):
            return  # stopped once the gateway has let go of it: no request is lost
        if self._refusals.drop(replica):
            self._changes.notify(service)
        for state in self._states(service):
            if state.spec.replica == replica:
                await self._launcher.stop(replica, state.spec.grace_seconds)
                clearing = asyncio.create_task(self._clear(replica), name=f"clear {replica}")
                self._clearing.add(clearing)
                clearing.add_done_callback(self._clearing.discard)

    async def _clear(self, replica: str) -> None:
        """Remove the folder of a replica once it is gone; one that was started anew keeps it."""
        await self._launcher.wait_stopped(replica)
        collect_folders(self._layout, {s.spec.replica for s in self._launcher.states()})

    def _warm(self, workload: DesiredWorkload) -> None:
        """Let a zygote import the framework while the model is still on its way."""
        if workload.requirements is not None:
            process = self._make(workload, make_replica_name(workload, 0))
            self._launcher.warm(process.spec)

    def _make(
        self,
        workload: DesiredWorkload,
        replica: str,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Process:
        requirements = workload.requirements
        python = "" if requirements is None else self._environments.python(requirements)
        inherited = {**self._inherited, **variables}
        here = Machine(self._layout, inherited, python, sys.executable)
        return make_replica_process(workload, replica, here)


def _endpoint(state: ProcessState) -> Endpoint:
    return Endpoint("127.0.0.1", state.ports.get(state.spec.http_port, 0))
