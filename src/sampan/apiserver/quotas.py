"""ResourceQuotas held at the door: what would exceed one is refused, in Kubernetes's words.

What a namespace uses is counted from its objects (`sampan.api.resourcequota.usage`), so it is never
stale; a namespace without a quota costs one look into an empty list. Writes of a namespace with
quotas pass one at a time, so that two cannot share the last place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from sampan.machinery.errors import Conflict, Forbidden, NotFound
from sampan.machinery.quantity import Quantity, parse_quantity
from sampan.machinery.registry import JsonObject, Registry, Resource
from sampan.machinery.store import Store

QUOTAS = "resourcequotas"


class Quotas:
    """Admission by quota, over a store whose registry has them; else nothing is limited."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._counted = tuple(r.id for r in registry if r.namespaced and not r.read_only)
        self._served = QUOTAS in registry
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def reserved(
        self, resource: Resource, obj: JsonObject, old: JsonObject | None
    ) -> AsyncIterator[None]:
        """Hold the place of an object while it is stored; raise Forbidden where there is none."""
        namespace = str(obj["metadata"].get("namespace", ""))
        if not await self._of(namespace):
            yield
            if resource.id == QUOTAS:
                await self.refresh(namespace)
            return
        async with self._turn:
            for quota in await self._of(namespace):
                await self._check(resource, obj, old, quota)
            yield
            await self.refresh(namespace)

    async def refresh(self, namespace: str) -> None:
        """Write how much of each quota of a namespace is used."""
        for quota in await self._of(namespace):
            hard = _hard(quota)
            used = await self._used(namespace, tuple(hard))
            shown = {name: str(used.get(name, parse_quantity(0))) for name in hard}
            status = {"hard": {name: str(amount) for name, amount in hard.items()}, "used": shown}
            if quota.get("status") == status:
                continue
            with contextlib.suppress(Conflict, NotFound):  # whoever was faster refreshes too
                await self._store.update_status(QUOTAS, {**quota, "status": status})

    async def _of(self, namespace: str) -> list[JsonObject]:
        if not self._served or not namespace:
            return []
        return (await self._store.list(QUOTAS, namespace)).items

    async def _used(self, namespace: str, names: tuple[str, ...]) -> Mapping[str, Quantity]:
        from sampan.api.resourcequota.usage import add, derive_usage, is_counted_by

        used: Mapping[str, Quantity] = {}
        for resource in self._counted:
            if any(is_counted_by(resource, name) for name in names):
                objects = (await self._store.list(resource, namespace)).items
                used = add(used, derive_usage(resource, objects))
        return used

    async def _check(
        self, resource: Resource, obj: JsonObject, old: JsonObject | None, quota: JsonObject
    ) -> None:
        from sampan.api.resourcequota.usage import SERVICES, missing_amounts, usage_of

        hard, meta = _hard(quota), obj["metadata"]
        wanted = usage_of(resource.id, obj)
        before = usage_of(resource.id, old) if old is not None else {}
        grown = {
            name: amount
            for name, amount in wanted.items()
            if name in hard and (name not in before or amount > before[name])
        }
        name = meta.get("name") or meta.get("generateName", "")
        start = f'{resource.id} "{name}" is forbidden: '
        if resource.id == SERVICES and (missing := missing_amounts(obj, hard)):
            listed = ", ".join(f"{m.resource} for: {m.container}" for m in missing)
            raise _refused(
                resource, name, f"{start}failed quota: {_name(quota)}: must specify {listed}"
            )
        if not grown:
            return
        used = await self._used(meta["namespace"], tuple(grown))
        zero = parse_quantity(0)
        asked = {n: Quantity(a.value - before.get(n, zero).value, a.form) for n, a in grown.items()}
        over = [n for n, a in asked.items() if used.get(n, zero).value + a.value > hard[n].value]
        if over:
            shown = (("requested", asked), ("used", used), ("limited", hard))
            told = ", ".join(f"{word}: {_listed(over, amounts)}" for word, amounts in shown)
            raise _refused(resource, name, f"{start}exceeded quota: {_name(quota)}, {told}")


def _hard(quota: JsonObject) -> dict[str, Quantity]:
    from sampan.api.resourcequota.usage import is_counted

    hard = (quota.get("spec") or {}).get("hard") or {}
    return {name: parse_quantity(amount) for name, amount in hard.items() if is_counted(name)}


def _listed(names: list[str], amounts: Mapping[str, Quantity]) -> str:
    return ",".join(f"{n}={amounts.get(n, parse_quantity(0))}" for n in sorted(names))


def _name(quota: JsonObject) -> str:
    return str(quota["metadata"]["name"])


def _refused(resource: Resource, name: str, text: str) -> Forbidden:
    details = {"name": name, "kind": resource.plural}
    return Forbidden(
        text, details={**details, "group": resource.group} if resource.group else details
    )
