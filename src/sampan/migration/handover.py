"""Giving a cluster back to KServe's controller: our name leaves the objects, nothing else changes.

KServe's controller updates what it wants of an object, whoever owns the fields: an object whose
spec is what it would write is left alone. So no pod starts anew, as none did when we took over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sampan.installation.options import OPERATOR
from sampan.machinery.clock import Clock
from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.managed_fields import APPLY, UPDATE
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import Key
from sampan.migration.survey import CONTROLLERS
from sampan.operator.cluster import key_of_child
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.operator import LEASE
from sampan.platforms.kubernetes.children import MANAGER
from sampan.platforms.kubernetes.kinds import CHILD_KINDS, CONFIG_MAPS, DEPLOYMENTS, LEASES
from sampan.webhooks.configurations import MUTATING, NAME, VALIDATING

FORMER = "manager"
"""Under this name KServe's controller writes."""
LEAVE_SECONDS = 60.0
"""For the operators to end: longer than a Lease lasts, and than a pod's usual grace."""
_TRIES = 5


class StillActing(Exception):
    """An operator that goes on; the message says who, and what to do."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Hands one cluster back. `dry`: tells the steps and takes none."""

    store: ClusterStore
    clock: Clock
    namespace: str
    dry: bool = False

    async def apply(self) -> AsyncIterator[str]:
        """Take every step, telling each; raises StillActing and ApiError. May be repeated."""
        yield f'Deployment "{OPERATOR}": scaled to zero'
        if not self.dry:
            await self._scale(OPERATOR, 0)
            await self._wait_until_nobody_acts()
        for resource in (MUTATING, VALIDATING):
            if await self._remove(Key(resource.id, "", NAME)):
                yield f'{resource.kind} "{NAME}": removed'
        for kind in (*(k.resource for k in CHILD_KINDS), CONFIG_MAPS):
            async for text in self._give_back(kind):
                yield text
        for name in CONTROLLERS:
            if await self._scale(name, 1):
                yield f'Deployment "{name}": scaled to one'

    async def _give_back(self, kind: Resource) -> AsyncIterator[str]:
        try:
            page = await self.store.list(kind.id)
        except NotFound:
            return
        head = {"apiVersion": kind.api_version, "kind": kind.kind}
        for obj in page.items:
            if is_ours(obj):
                metadata = obj["metadata"]
                if not self.dry:
                    await self._rename({**head, **obj})
                yield f'{kind.kind} "{metadata["namespace"]}/{metadata["name"]}": given back'

    async def _rename(self, obj: JsonObject) -> None:
        key = key_of_child(obj)
        for _ in range(_TRIES):
            try:
                await self.store.patch(key, make_return(obj))
            except Conflict:
                obj = await self.store.get(key)
            except NotFound:
                return
            else:
                return
        raise Conflict(f'{obj["kind"]} "{key.name}" is written again and again by somebody else')

    async def _scale(self, name: str, replicas: int) -> bool:
        """Set the replicas of a Deployment; False where it is not there or has them already.

        One that KServe's is scaled up to keeps more than one.
        """
        key = Key(DEPLOYMENTS.id, self.namespace, name)
        try:
            found = await self.store.get(key)
        except NotFound:
            return False
        there = (found.get("spec") or {}).get("replicas", 1)
        if there == replicas or 0 < replicas < there:
            return False
        if not self.dry:
            path = {"op": "replace", "path": "/spec/replicas", "value": replicas}
            await self.store.patch(key, [path])
        return True

    async def _wait_until_nobody_acts(self) -> None:
        """Wait for the Lease to be given back, or to stay as it is for as long as it lasts."""
        key = Key(LEASES.id, self.namespace, LEASE)
        begun = changed = self.clock.now()
        seen: Mapping[str, Any] = {}
        while True:
            spec: Mapping[str, Any] = {}
            with suppress(NotFound):
                spec = (await self.store.get(key)).get("spec") or {}
            now = self.clock.now()
            if spec != seen:
                seen, changed = spec, now
            duration = float(spec.get("leaseDurationSeconds") or 0)
            if not spec.get("holderIdentity") or now - changed >= duration:
                return
            if now - begun > LEAVE_SECONDS:
                raise StillActing(
                    f'"{spec["holderIdentity"]}" goes on renewing Lease "{LEASE}" of namespace '
                    f'"{self.namespace}"; end it where it runs, then repeat'
                )
            await self.clock.sleep(0.5)

    async def _remove(self, key: Key) -> bool:
        try:
            if self.dry:
                await self.store.get(key)
            else:
                await self.store.delete(key)
        except NotFound:
            return False
        return True


def is_ours(obj: Mapping[str, Any]) -> bool:
    """Return whether the operator owns fields of an object. Pure."""
    entries = obj["metadata"].get("managedFields") or ()
    return any(_is_our_entry(entry) for entry in entries)


def make_return(obj: Mapping[str, Any]) -> tuple[JsonObject, ...]:
    """Return the JSON patch by which what was applied by us was written by KServe's. Pure."""
    metadata = obj["metadata"]
    entries = [
        {**entry, "manager": FORMER, "operation": UPDATE} if _is_our_entry(entry) else entry
        for entry in metadata.get("managedFields") or ()
    ]
    version = metadata["resourceVersion"]
    return (
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
    )


def _is_our_entry(entry: Mapping[str, Any]) -> bool:
    applied = entry.get("operation") == APPLY and not entry.get("subresource")
    return applied and entry.get("manager") == MANAGER
