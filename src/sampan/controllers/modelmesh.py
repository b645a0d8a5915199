"""The processes that services of ModelMesh mode share: kept while any service has a model there.

A service's own reconcile says which processes it needs; theirs brings them up, and takes them down
after the last. One plan at a time is made of a host, whoever asks for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sampan.controllers.gather import CLUSTER_RUNTIMES, RUNTIMES, SERVICES, Sources
from sampan.machinery.controller import Result
from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.plan.modelmesh_host import build_host_plan, make_host_workload
from sampan.plan.types import MeshModel, Plan, ServiceKey


@dataclass(slots=True)
class _Host:
    """The services that have a model in a host's processes."""

    members: set[ServiceKey] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class MeshHosts:
    """All shared processes of a daemon, by runtime and namespace."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._hosts: dict[ServiceKey, _Host] = {}

    async def hold(self, service: ServiceKey, model: MeshModel) -> float:
        """Have the processes of a model run; return when to look again (0: never)."""
        host = self._hosts.get(model.host)
        known = host is not None and service in host.members
        await self.release(service, besides=model.host)
        self._hosts.setdefault(model.host, _Host()).members.add(service)
        wake_at = await self._converge(model.host)
        if not known:
            await self._converge_others(model.host)
        return wake_at

    async def release(self, service: ServiceKey, besides: ServiceKey | None = None) -> None:
        """Let go of a service; processes that nobody needs any more end."""
        for key, host in list(self._hosts.items()):
            if service in host.members and key != besides:
                host.members.discard(service)
                await self._converge(key)
                await self._converge_others(key)

    async def reconcile(self, key: ServiceKey) -> Result:
        """Bring one host to what its services need; it has changed."""
        if key not in self._hosts and await self._is_wanted(key):
            return Result()  # its services have not been looked at yet: they bring it up
        return Result(await self._converge(key) or None)

    def members(self, key: ServiceKey) -> tuple[ServiceKey, ...]:
        """Return the services that a host's change touches."""
        host = self._hosts.get(key)
        return tuple(host.members) if host else ()

    async def _converge(self, key: ServiceKey) -> float:
        host = self._hosts.setdefault(key, _Host())
        async with host.lock:
            platform, now = self._sources.platform, self._sources.clock.now()
            plan = await self._plan(key, host)
            difference = platform.diff(platform.render(plan), await platform.observe(key), now)
            for step in difference.steps:
                await platform.apply(key, step)
            return difference.wake_at

    async def _plan(self, key: ServiceKey, host: _Host) -> Plan:
        runtime = await self._runtime(key) if host.members else None
        if not host.members:
            return Plan(service=key, stopped=True)
        if runtime is None:  # taken away while it is used: what runs goes on
            return Plan(service=key)
        workload = make_host_workload(runtime)
        return build_host_plan(workload, key, self._sources.gateway, leads=self._leads(key))

    def _leads(self, key: ServiceKey) -> bool:
        """Whether a host answers under the name that all of its namespace share: the first does."""
        used = [
            k.name for k, h in self._hosts.items() if k.namespace == key.namespace and h.members
        ]
        return key.name == min(used, default="")

    async def _converge_others(self, key: ServiceKey) -> None:
        """Tell the hosts of a namespace anew: another may lead now."""
        for other in [k for k in self._hosts if k.namespace == key.namespace and k != key]:
            await self._converge(other)

    async def _runtime(self, key: ServiceKey) -> JsonObject | None:
        store = self._sources.store
        for resource, namespace in ((RUNTIMES, key.namespace), (CLUSTER_RUNTIMES, "")):
            try:
                return await store.get(Key(resource, namespace, key.object_name))
            except NotFound:
                continue
        return None

    async def _is_wanted(self, key: ServiceKey) -> bool:
        """Whether a service of the namespace says that it is served there."""
        listed = await self._sources.store.list(SERVICES, key.namespace)
        return any(
            key.object_name
            in (status.get("servingRuntimeName"), status.get("clusterServingRuntimeName"))
            and status.get("deploymentMode") == "ModelMesh"
            for status in (obj.get("status") or {} for obj in listed.items)
        )
