"""What a cluster's API server is answered about an object of ours: defaults, then verdict.

Two questions, as KServe's webhooks: the mutating one gives an object its defaults and refuses
nothing, so that the validating one, which sees the object as it will be stored, says all that is
wrong. Warnings go with the verdict.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from sampan.machinery.errors import ApiError, Forbidden, Invalid, NotFound, Subject
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject, Resource
from sampan.machinery.store import Key, Page
from sampan.webhooks.review import Asked, make_allowed, make_refused

Warn = Callable[[JsonObject], Awaitable[list[str]]]
"""What is to be said about an object besides what its admission says."""


class Reads(Protocol):
    """What verdicts read: a store, or caches before one."""

    async def get(self, key: Key) -> JsonObject:
        """Return the object; raise NotFound."""

    async def list(self, resource: str, namespace: str = "") -> Page:
        """Return the objects of a namespace (empty: of all)."""


CONFIGURATION = Key("configmaps", "kserve", "inferenceservice-config")


@dataclass(frozen=True, slots=True)
class Judge:
    """Answers for one resource. `configuration`: where `inferenceservice-config` lies."""

    resource: Resource
    store: Reads
    warn: Warn
    configuration: Key = CONFIGURATION

    async def mutate(self, asked: Asked) -> JsonObject:
        """Return the answer with defaults, where the object can be read at all."""
        admitted = await self._admitted(asked)
        return make_allowed(asked, admitted.obj)

    async def validate(self, asked: Asked) -> JsonObject:
        """Return the verdict, with every mistake at once, and warnings."""
        if asked.operation == "DELETE":
            return await self._validate_delete(asked)
        admitted = await self._admitted(asked)
        error = make_error(self.resource, admitted)
        if error is not None:
            return make_refused(asked, error, admitted.warnings)
        extra = await self.warn(admitted.obj)
        return make_allowed(asked, warnings=(*admitted.warnings, *extra))

    async def _admitted(self, asked: Asked) -> Admitted:
        if self.resource.admit is None:
            return Admitted(asked.obj)
        return self.resource.admit(asked.obj, asked.old or None, await self._context(asked))

    async def _context(self, asked: Asked) -> AdmissionContext:
        data = (await get_or_none(self.store, self.configuration) or {}).get("data") or {}
        neighbours: list[JsonObject] = []
        if self.resource.sees_neighbours:
            neighbours = (await self.store.list(self.resource.id, asked.namespace)).items
        return AdmissionContext(data, tuple(neighbours))

    async def _validate_delete(self, asked: Asked) -> JsonObject:
        guard = self.resource.delete_guard
        if guard is None:
            return make_allowed(asked)
        found = [await get_or_none(self.store, Key(*user)) for user in guard.users(asked.old)]
        refusal = guard.refuse(asked.old, tuple(user for user in found if user is not None))
        return make_refused(asked, Forbidden(refusal)) if refusal else make_allowed(asked)


def make_error(resource: Resource, admitted: Admitted) -> ApiError | None:
    """Return what refuses an object, None where nothing does. Pure."""
    if admitted.errors:
        name = str((admitted.obj.get("metadata") or {}).get("name", ""))
        return Invalid(Subject(resource.kind, name, resource.group), list(admitted.errors))
    if not admitted.denied:
        return None
    causes = [{"reason": c.reason, "message": c.message, "field": c.path} for c in admitted.causes]
    return Forbidden(admitted.denied, details={"causes": causes} if causes else None)


async def get_or_none(store: Reads, key: Key) -> JsonObject | None:
    """Return an object, None where there is none."""
    try:
        return await store.get(key)
    except NotFound:
        return None
