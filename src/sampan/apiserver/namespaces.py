"""Namespaces: there before anything is written into them, and gone only once they are empty.

Each has a ServiceAccount `default`, as from Kubernetes's controller of service accounts.

Deleting one marks it (`Terminating`, a finalizer), removes what is in it, waits for the finalizers
of that, then lets it go: what Kubernetes's namespace controller does. A deletion that a stop
interrupted goes on at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from sampan.machinery.clock import Clock
from sampan.machinery.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound
from sampan.machinery.registry import JsonObject, Registry, Resource
from sampan.machinery.store import NO_PRECONDITIONS, Key, Preconditions, Store

log = logging.getLogger(__name__)

NAMESPACES = "namespaces"
ACCOUNTS = "serviceaccounts"
DEFAULT_ACCOUNT = "default"
ALWAYS_THERE = ("default", "kserve")
UNDELETABLE = "default"
FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0


class Namespaces:
    """The lifecycle of namespaces over a store whose registry has them; else nothing is checked."""

    def __init__(self, store: Store, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._served = NAMESPACES in registry
        self._has_accounts = ACCOUNTS in registry
        self._contents = tuple(r for r in registry if r.namespaced and not r.read_only)
        self._ending: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Create the namespaces that are always there, and go on with deletions."""
        if not self._served:
            return
        for name in ALWAYS_THERE:
            with contextlib.suppress(AlreadyExists):
                await self.create(make_namespace(name))
        for namespace in (await self._store.list(NAMESPACES)).items:
            if namespace["metadata"].get("deletionTimestamp"):
                self._end(namespace["metadata"]["name"])
                continue
            await self._add_account(namespace["metadata"]["name"])
            if not namespace.get("status", {}).get("phase"):
                await self._set_phase(namespace, "Active")

    async def stop(self) -> None:
        """Leave deletions where they are."""
        for task in self._ending.values():
            task.cancel()
        await asyncio.gather(*self._ending.values(), return_exceptions=True)

    async def create(self, obj: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Store a new namespace, labelled with its name and Active."""
        meta = obj["metadata"]
        labels = {**(meta.get("labels") or {}), NAME_LABEL: meta.get("name", "")}
        obj = {**obj, "metadata": {**meta, "labels": labels}}
        created = await self._store.create(NAMESPACES, obj, dry_run=dry_run)
        if dry_run:
            return {**created, "status": {"phase": "Active"}}
        await self._add_account(created["metadata"]["name"])
        return await self._set_phase(created, "Active")

    async def check_open(self, resource: Resource, namespace: str, name: str) -> None:
        """Raise NotFound or Forbidden where nothing may be created in a namespace."""
        if not self._served or not resource.namespaced:
            return
        found = await self._store.get(Key(NAMESPACES, "", namespace))
        if found["metadata"].get("deletionTimestamp"):
            cause = {"reason": "NamespaceTerminating", "field": "metadata.namespace"}
            cause["message"] = f"namespace {namespace} is being terminated"
            raise Forbidden(
                f'{resource.id} "{name}" is forbidden: unable to create new content in namespace '
                f"{namespace} because it is being terminated",
                details={"name": name, "kind": resource.plural, "causes": [cause]},
            )

    async def delete(
        self, name: str, preconditions: Preconditions = NO_PRECONDITIONS, *, dry_run: bool = False
    ) -> JsonObject:
        """Mark a namespace as going; its contents and then itself follow in the background."""
        if name == UNDELETABLE:
            raise Forbidden(
                f'namespaces "{name}" is forbidden: this namespace may not be deleted; delete what '
                "is in it instead"
            )
        key = Key(NAMESPACES, "", name)
        if dry_run:
            return await self._store.delete(key, preconditions, dry_run=True)
        found = await self._store.get(key)
        found["metadata"]["resourceVersion"] = preconditions.resource_version or ""
        finalizers = found["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers and not found["metadata"].get("deletionTimestamp"):
            found["metadata"]["finalizers"] = [*finalizers, FINALIZER]
            await self._store.update(NAMESPACES, found)
        marked = await self._store.delete(key, Preconditions(uid=preconditions.uid))
        marked = await self._set_phase(marked, "Terminating")
        self._end(name)
        return marked

    async def _add_account(self, namespace: str) -> None:
        if self._has_accounts:
            with contextlib.suppress(AlreadyExists):
                await self._store.create(ACCOUNTS, make_account(namespace))

    def _end(self, name: str) -> None:
        if name not in self._ending:
            task = asyncio.ensure_future(self._empty(name))
            self._ending[name] = task
            task.add_done_callback(lambda _: self._ending.pop(name, None))

    async def _empty(self, name: str) -> None:
        wait = FIRST_WAIT
        try:
            while await self._delete_contents(name):
                await self._clock.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
            await self._release(name)
        except ApiError as error:
            log.warning("namespace %s waits to be emptied: %s", name, error.message)

    async def _delete_contents(self, name: str) -> bool:
        """Delete what is in a namespace; returns whether anything was left."""
        left = False
        for resource in self._contents:
            for obj in (await self._store.list(resource.id, name)).items:
                left = True
                if not obj["metadata"].get("deletionTimestamp"):
                    with contextlib.suppress(NotFound):
                        await self._store.delete(Key(resource.id, name, obj["metadata"]["name"]))
        return left

    async def _release(self, name: str) -> None:
        while True:
            with contextlib.suppress(Conflict):
                found = await self._store.get(Key(NAMESPACES, "", name))
                meta = found["metadata"]
                meta["finalizers"] = [f for f in meta.get("finalizers", ()) if f != FINALIZER]
                await self._store.update(NAMESPACES, found)
                return

    async def _set_phase(self, namespace: JsonObject, phase: str) -> JsonObject:
        obj = {**namespace, "status": {**(namespace.get("status") or {}), "phase": phase}}
        obj["metadata"] = {**obj["metadata"], "resourceVersion": ""}
        try:
            return await self._store.update_status(NAMESPACES, obj)
        except NotFound:  # the registry keeps no status of namespaces apart, or it is gone already
            return namespace


def make_account(namespace: str) -> JsonObject:
    """Return the ServiceAccount that each namespace has."""
    meta = {"name": DEFAULT_ACCOUNT, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}


def make_namespace(name: str) -> JsonObject:
    """Return a new namespace object."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
