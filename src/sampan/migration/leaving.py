"""An operator leaves a cluster: it stops, its Lease runs out, and nobody asks its webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sampan.installation.options import OPERATOR
from sampan.machinery.clock import Clock
from sampan.machinery.errors import NotFound
from sampan.machinery.store import Key
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.operator import LEASE
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, LEASES
from sampan.webhooks.configurations import MUTATING, NAME, VALIDATING

LEAVE_SECONDS = 60.0
"""For the operators to end: longer than a Lease lasts, and than a pod's usual grace."""


class StillActing(Exception):
    """An operator that goes on; the message says who, and what to do."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The first steps of every way out. `dry`: tells the steps and takes none."""

    store: ClusterStore
    clock: Clock
    namespace: str
    dry: bool = False

    async def apply(self) -> AsyncIterator[str]:
        """Take every step, telling each; raises StillActing and ApiError. May be repeated.

        Webhooks go as soon as nobody answers them: they fail closed, and no pod would start.
        """
        yield f'Deployment "{OPERATOR}": scaled to zero'
        if not self.dry:
            await self.scale(OPERATOR, 0)
            await self._wait_until_nobody_acts()
        for resource in (MUTATING, VALIDATING):
            if await self.remove(Key(resource.id, "", NAME)):
                yield f'{resource.kind} "{NAME}": removed'

    async def scale(self, name: str, replicas: int) -> bool:
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

    async def remove(self, key: Key) -> bool:
        """Remove an object; False where it is not there."""
        try:
            if self.dry:
                await self.store.get(key)
            else:
                await self.store.delete(key)
        except NotFound:
            return False
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
