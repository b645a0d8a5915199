"""Taking the operator out of a cluster: what serves goes on, and can be deleted without us.

Definitions, configuration, runtimes, services and all that was made of them stay: with a definition
every object of its kind would go, and with a service its pods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sampan.installation.bundle import make_operator
from sampan.installation.options import ACTIVATOR, Options
from sampan.installation.rights import CONVERTED
from sampan.machinery.clock import Clock
from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject, Registry, Resource
from sampan.machinery.store import Key, ListOptions
from sampan.migration.leaving import Leaving
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.finalizing import FINALIZER, SERVICES, TRAINED_MODELS
from sampan.operator.operator import LEASE
from sampan.plan import trained_model
from sampan.platforms.kubernetes.children import AUTOSCALER
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, LEASES
from sampan.webhooks.certificates import SECRET_NAME
from sampan.webhooks.configurations import DEFINITIONS, MUTATING, VALIDATING

SECRETS = "secrets"
FINALIZERS = {TRAINED_MODELS: trained_model.FINALIZER, SERVICES: FINALIZER}
"""By resource: what we put on its objects. Models first: services take them with them."""


def _right(kind: str, *, namespaced: bool) -> Resource:
    group = "rbac.authorization.k8s.io"
    return Resource(group, "v1", kind, f"{kind.lower()}s", kind.lower(), namespaced=namespaced)


RIGHTS = (
    _right("ClusterRole", namespaced=False),
    _right("ClusterRoleBinding", namespaced=False),
    _right("Role", namespaced=True),
    _right("RoleBinding", namespaced=True),
)
"""Kinds that only an installation has."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Takes the operator out of one cluster. `dry`: tells the steps and takes none.

    `registry` holds every kind of an installation.
    """

    store: ClusterStore
    clock: Clock
    namespace: str
    registry: Registry
    dry: bool = False

    async def apply(self) -> AsyncIterator[str]:
        """Take every step, telling each; raises StillActing and ApiError. May be repeated."""
        leaving = Leaving(self.store, self.clock, self.namespace, self.dry)
        async for text in leaving.apply():
            yield text
        async for text in self._let_go():
            yield text
        async for text in self._stop_converting():
            yield text
        kept = await self._count_woken()
        for key, told in self._installed():
            if kept and key.name == ACTIVATOR:
                continue
            if await leaving.remove(key):
                yield f"{told}: removed"
        if kept:
            yield f'Deployment "{ACTIVATOR}": stays, it wakes {kept} workloads that may sleep'

    async def _let_go(self) -> AsyncIterator[str]:
        """Take our finalizers off every service and model: else none could be deleted."""
        for resource, finalizer in FINALIZERS.items():
            with suppress(NotFound):
                for obj in (await self.store.list(resource)).items:
                    metadata = obj["metadata"]
                    if finalizer not in (metadata.get("finalizers") or ()):
                        continue
                    if not self.dry:
                        key = Key(resource, metadata["namespace"], metadata["name"])
                        await self.store.patch(key, make_release(obj, finalizer))
                    told = f'{obj["kind"]} "{metadata["namespace"]}/{metadata["name"]}"'
                    yield f"{told}: can be deleted without an operator"

    async def _stop_converting(self) -> AsyncIterator[str]:
        """Let the API server convert by itself: a webhook that is gone would fail each read."""
        for name in CONVERTED:
            key = Key(DEFINITIONS.id, "", name)
            with suppress(NotFound):
                conversion = (await self.store.get(key))["spec"].get("conversion") or {}
                if conversion.get("strategy") != "Webhook":
                    continue
                if not self.dry:
                    value = {"strategy": "None"}
                    await self.store.patch(
                        key, [{"op": "replace", "path": "/spec/conversion", "value": value}]
                    )
                yield f'CustomResourceDefinition "{name}": converted without a webhook'

    async def _count_woken(self) -> int:
        """Return how many workloads are reached through the activator alone."""
        options = ListOptions(label_selector=f"{AUTOSCALER}=sampan")
        return len((await self.store.list(DEPLOYMENTS.id, options=options)).items)

    def _installed(self) -> list[tuple[Key, str]]:
        """Return what was installed, last first, and what was made since."""
        made = make_operator(Options(namespace=self.namespace, activators=1))
        objects = [o for o in reversed(made) if o["kind"] not in (MUTATING.kind, VALIDATING.kind)]
        found = [self._named(obj) for obj in objects]
        found.append((Key(LEASES.id, self.namespace, LEASE), f'Lease "{LEASE}"'))
        found.append((Key(SECRETS, self.namespace, SECRET_NAME), f'Secret "{SECRET_NAME}"'))
        return found

    def _named(self, obj: JsonObject) -> tuple[Key, str]:
        resource = self.registry.for_object(obj)
        if resource is None:
            raise LookupError(obj["kind"])
        metadata = obj["metadata"]
        key = Key(resource.id, str(metadata.get("namespace") or ""), str(metadata["name"]))
        return key, f'{obj["kind"]} "{key.name}"'


def make_release(obj: Mapping[str, Any], finalizer: str) -> tuple[JsonObject, ...]:
    """Return the JSON patch that takes a finalizer off an object as it was read. Pure."""
    metadata = obj["metadata"]
    kept = [f for f in metadata["finalizers"] if f != finalizer]
    version = metadata["resourceVersion"]
    return (
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/metadata/finalizers", "value": kept},
    )
