"""Giving a cluster back to KServe's controller: our name leaves the objects, nothing else changes.

KServe's controller updates what it wants of an object, whoever owns the fields: an object whose
spec is what it would write is left alone. So no pod starts anew, as none did when we took over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.machinery.clock import Clock
from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.managed_fields import APPLY, UPDATE
from sampan.machinery.registry import JsonObject, Resource
from sampan.migration.leaving import Leaving
from sampan.migration.survey import CONTROLLERS
from sampan.operator.cluster import key_of_child
from sampan.operator.cluster_store import ClusterStore
from sampan.platforms.kubernetes.children import MANAGER
from sampan.platforms.kubernetes.kinds import CHILD_KINDS, CONFIG_MAPS

FORMER = "manager"
"""Under this name KServe's controller writes."""
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Handover:
    """Hands one cluster back. `dry`: tells the steps and takes none."""

    store: ClusterStore
    clock: Clock
    namespace: str
    dry: bool = False

    async def apply(self) -> AsyncIterator[str]:
        """Take every step, telling each; raises StillActing and ApiError. May be repeated."""
        leaving = Leaving(self.store, self.clock, self.namespace, self.dry)
        async for text in leaving.apply():
            yield text
        for kind in (*(k.resource for k in CHILD_KINDS), CONFIG_MAPS):
            async for text in self._give_back(kind):
                yield text
        for name in CONTROLLERS:
            if await leaving.scale(name, 1):
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
