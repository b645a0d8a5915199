"""The garbage collector: what objects leave behind when their owners go.

(Kubernetes, "Garbage Collection", "Owners and Dependents".) An object all of whose owners are gone,
by uid, is deleted. An owner that is deleted in the foreground waits until its dependents are gone;
one that orphans has its reference taken off them first. An owner of a kind that is not served here
cannot be looked up and counts as there: nothing is deleted on a guess.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from sampan.machinery.clock import Clock
from sampan.machinery.controller import key_of
from sampan.machinery.errors import NotFound
from sampan.machinery.informer import Informer, Listener
from sampan.machinery.propagation import (
    FOREGROUND_FINALIZER,
    ORPHAN_FINALIZER,
    Propagation,
    apply_delete,
)
from sampan.machinery.registry import JsonObject, Registry
from sampan.machinery.store import Key, Preconditions, Store
from sampan.machinery.workers import Result, Workers

log = logging.getLogger(__name__)

_LOOKED_AT = ("name", "namespace", "uid", "resourceVersion", "ownerReferences")

IGNORED = frozenset({"events"})
"""Many, short-lived and never owned: kube-controller-manager's collector leaves them out too."""


class Collector:
    """Collects over every stored resource of a registry."""

    def __init__(self, store: Store, clock: Clock, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._workers = Workers(clock, self.collect)
        self._dependents: dict[str, set[Key]] = {}
        self._informers = [
            Informer(store, clock, resource.id, self._listener(resource.id), trim=_trimmed)
            for resource in registry
            if not resource.read_only and resource.id not in IGNORED
        ]

    async def run(self) -> None:
        """Collect until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())
            # A list of dependents is only a reason to let an owner go once it is complete.
            for informer in self._informers:
                await informer.synced.wait()
            group.create_task(self._workers.run())

    async def collect(self, key: Key) -> Result:
        """Do what one object's owners, or its own deletion, ask for."""
        try:
            obj = await self._store.get(key)
        except NotFound:
            return Result()
        finalizers = obj["metadata"].get("finalizers", ())
        if "deletionTimestamp" in obj["metadata"]:
            if ORPHAN_FINALIZER in finalizers:
                await self._orphan(key, obj)
            elif FOREGROUND_FINALIZER in finalizers:
                await self._delete_dependents(key, obj)
        elif obj["metadata"].get("ownerReferences"):
            await self._check_owners(key, obj)
        return Result()

    async def _check_owners(self, key: Key, obj: JsonObject) -> None:
        references = obj["metadata"]["ownerReferences"]
        states = [(r, await self._owner(key, r)) for r in references]
        present = [r for r, owner in states if owner is not None]
        staying = [r for r, owner in states if owner is not None and not _in_foreground(owner)]
        if staying:
            if len(present) < len(references):
                await self._store.update(key.resource, _owned_by(obj, present))
            return
        foreground = bool(present) and bool(self._dependents.get(obj["metadata"]["uid"]))
        policy = Propagation.FOREGROUND if foreground else Propagation.BACKGROUND
        await self._delete(key, obj, policy)

    async def _owner(self, key: Key, reference: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the owner, None when it is gone, or {} when that cannot be known."""
        resource = self._registry.for_object(reference)
        if resource is None or resource.read_only:
            log.debug("owner kind %s is not served here", reference.get("kind"))
            return {}
        if resource.namespaced and not key.namespace:
            log.warning("%s: a cluster-scoped object cannot have a namespaced owner", key)
            return {}
        namespace = key.namespace if resource.namespaced else ""
        try:
            owner = await self._store.get(Key(resource.id, namespace, reference.get("name", "")))
        except NotFound:
            return None
        return owner if owner["metadata"]["uid"] == reference.get("uid") else None

    async def _delete_dependents(self, key: Key, owner: JsonObject) -> None:
        uid = owner["metadata"]["uid"]
        waiting = False
        for dependent in tuple(self._dependents.get(uid, ())):
            self._workers.queue.add(dependent)
            waiting = waiting or await self._blocks(dependent, uid)
        if not waiting:
            await self._store.update(key.resource, _without(owner, FOREGROUND_FINALIZER))

    async def _blocks(self, dependent: Key, uid: str) -> bool:
        try:
            obj = await self._store.get(dependent)
        except NotFound:
            return False
        references = obj["metadata"].get("ownerReferences", ())
        return any(r.get("uid") == uid and r.get("blockOwnerDeletion") for r in references)

    async def _orphan(self, key: Key, owner: JsonObject) -> None:
        uid = owner["metadata"]["uid"]
        for dependent in tuple(self._dependents.get(uid, ())):
            try:
                obj = await self._store.get(dependent)
            except NotFound:
                continue
            references = obj["metadata"].get("ownerReferences", [])
            kept = [r for r in references if r.get("uid") != uid]
            await self._store.update(dependent.resource, _owned_by(obj, kept))
        await self._store.update(key.resource, _without(owner, ORPHAN_FINALIZER))

    async def _delete(self, key: Key, obj: JsonObject, policy: Propagation) -> None:
        metadata = obj["metadata"]
        same = Preconditions(metadata["uid"], metadata["resourceVersion"])
        try:
            await apply_delete(self._store, key, policy, same)
        except NotFound:
            return

    def _listener(self, resource: str) -> Listener:
        def listen(before: JsonObject | None, after: JsonObject | None) -> None:
            for obj in filter(None, (before, after)):
                self._note(key_of(resource, obj), obj, there=obj is after)
            if before is not None:
                self._note_leaving(before)

        return listen

    def _note(self, key: Key, obj: JsonObject, *, there: bool) -> None:
        """Keep the index of dependents; queue the object and the owners that may wait for it."""
        for reference in obj["metadata"].get("ownerReferences", ()):
            uid = reference.get("uid", "")
            if there:
                self._dependents.setdefault(uid, set()).add(key)
            elif uid in self._dependents:
                self._dependents[uid].discard(key)
                if not self._dependents[uid]:
                    del self._dependents[uid]
            owner = self._registry.for_object(reference)
            if owner is not None:
                namespace = key.namespace if owner.namespaced else ""
                self._workers.queue.add(Key(owner.id, namespace, reference.get("name", "")))
        if there:
            self._workers.queue.add(key)

    def _note_leaving(self, owner: JsonObject) -> None:
        for dependent in self._dependents.get(owner["metadata"].get("uid", ""), ()):
            self._workers.queue.add(dependent)


def _trimmed(obj: JsonObject) -> JsonObject:
    """Return who an object is and whose: all that collecting looks at."""
    metadata = obj["metadata"]
    return {"metadata": {name: metadata[name] for name in _LOOKED_AT if name in metadata}}


def _in_foreground(owner: Mapping[str, Any]) -> bool:
    metadata = owner.get("metadata", {})
    return "deletionTimestamp" in metadata and FOREGROUND_FINALIZER in metadata.get(
        "finalizers", ()
    )


def _owned_by(obj: JsonObject, references: list[Any]) -> JsonObject:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "ownerReferences"}
    if references:
        metadata["ownerReferences"] = references
    return {**obj, "metadata": metadata}


def _without(obj: JsonObject, finalizer: str) -> JsonObject:
    metadata = obj["metadata"]
    kept = [f for f in metadata.get("finalizers", ()) if f != finalizer]
    return {**obj, "metadata": {**metadata, "finalizers": kept}}
