"""What a cluster's API server is answered about a new pod of a service.

A pod's mutation is pure and asks for Secrets and ServiceAccounts by name. What it asked for in
vain is read, and it is tried again: so only what is needed is read, and the operator needs no
right to list anybody's Secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sampan.machinery.errors import ApiError
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.platforms.kubernetes.pods.mutate import mutate_pod
from sampan.platforms.kubernetes.pods.settings import parse_pod_settings
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.webhooks.judging import CONFIGURATION, Reads, get_or_none
from sampan.webhooks.review import Asked, make_allowed, make_refused

SERVICES = "inferenceservices.serving.kserve.io"
STORAGE_CONTAINERS = "clusterstoragecontainers.serving.kserve.io"
OWNER_LABEL = "serving.kserve.io/inferenceservice"


@dataclass(frozen=True, slots=True)
class Named(Mapping[str, JsonObject]):
    """Objects that are known by name; `missed` collects what was asked for and is not known."""

    resource: str
    found: dict[str, JsonObject | None] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> JsonObject:
        if name not in self.found:
            self.missed.add(name)
        obj = self.found.get(name)
        if obj is None:
            raise KeyError(name)
        return obj

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, obj in self.found.items() if obj is not None])

    def __len__(self) -> int:
        return len(list(iter(self)))

    async def read(self, store: Reads, namespace: str) -> bool:
        """Read what was missed; return whether anything was."""
        wanted = tuple(self.missed)
        self.missed.clear()
        for name in wanted:
            self.found[name] = await get_or_none(store, Key(self.resource, namespace, name))
        return bool(wanted)


@dataclass(frozen=True, slots=True)
class PodMutator:
    """Answers for pods. `configuration`: where `inferenceservice-config` lies."""

    store: Reads
    configuration: Key = CONFIGURATION

    async def mutate(self, asked: Asked) -> JsonObject:
        """Return the answer with the pod as it should run, or why it cannot."""
        secrets, accounts = Named("secrets"), Named("serviceaccounts")
        around = await self._surroundings(asked, secrets, accounts)
        while True:
            try:
                answer = make_allowed(asked, mutate_pod(asked.obj, around))
            except ApiError as error:
                answer = make_refused(asked, error)
            read = [await named.read(self.store, asked.namespace) for named in (secrets, accounts)]
            if not any(read):
                return answer

    async def _surroundings(self, asked: Asked, secrets: Named, accounts: Named) -> Surroundings:
        configured = await get_or_none(self.store, self.configuration) or {}
        containers = (await self.store.list(STORAGE_CONTAINERS)).items
        labels = asked.obj.get("metadata", {}).get("labels") or {}
        owner = labels.get(OWNER_LABEL)
        key = Key(SERVICES, asked.namespace, str(owner))
        return Surroundings(
            parse_pod_settings(configured.get("data") or {}, self.configuration.namespace),
            tuple(containers),
            secrets=secrets,
            accounts=accounts,
            service=await get_or_none(self.store, key) if owner else None,
        )
