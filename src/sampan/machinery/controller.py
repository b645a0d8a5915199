"""A controller: watches resources, turns their changes into keys, reconciles each key.

Level-driven: `reconcile` is told which object, never what happened. A key is reconciled by one
worker at a time; an exception is logged and retried with back-off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from sampan.machinery.clock import Clock
from sampan.machinery.informer import Informer, Listener
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.machinery.workers import DEFAULT_OPTIONS, Reconcile, Result, WorkerOptions, Workers

__all__ = ["Controller", "Reconcile", "Result", "Watch", "WorkerOptions"]

ECHO_SECONDS = 0.05
"""How long a change of a status alone may wait: most often it is the controller's own, which tells
it nothing, and whatever else wakes the object meanwhile answers for both."""

ToKeys: TypeAlias = Callable[[JsonObject], Iterable[Key]]
"""`object -> keys`: which objects of the controller a change of another resource touches."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Another resource whose changes matter, in one namespace or (empty) in all.

    `keys` is called with the object as it was and as it is.
    """

    resource: str
    keys: ToKeys
    namespace: str = ""


class Controller:
    """Runs `reconcile` for every object of `resource`, whenever it or a watched one changes."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        resource: str,
        reconcile: Reconcile,
        watches: tuple[Watch, ...] = (),
        options: WorkerOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._workers = Workers(clock, reconcile, options)
        self._resource = resource
        self._clock = clock
        # What several watch is followed, decoded and held once.
        followed: dict[tuple[str, str], list[Watch]] = {}
        followed[resource, ""] = []
        for watch in watches:
            followed.setdefault((watch.resource, watch.namespace), []).append(watch)
        self._informers = [
            Informer(store, clock, place[0], self._listener(*place, who), place[1])
            for place, who in followed.items()
        ]

    def enqueue(self, key: Key) -> None:
        """Reconcile an object though nothing in the store changed (a platform saw something)."""
        self._workers.queue.add(key)

    async def synced(self) -> None:
        """Wait until every watched resource has been listed once."""
        for informer in self._informers:
            await informer.synced.wait()

    async def run(self) -> None:
        """Watch and reconcile until cancelled. All that exists is reconciled once at the start."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())
            await self.synced()
            group.create_task(self._workers.run())

    def _listener(self, resource: str, namespace: str, watches: list[Watch]) -> Listener:
        own = resource == self._resource and not namespace

        def listen(before: JsonObject | None, after: JsonObject | None) -> None:
            if own:
                self._enqueue_own(before, after)
            for watch in watches:
                for obj in (before, after):
                    for key in watch.keys(obj) if obj is not None else ():
                        self.enqueue(key)

        return listen

    def _enqueue_own(self, before: JsonObject | None, after: JsonObject | None) -> None:
        if before is not None and after is not None and is_status_alone(before, after):
            later = self._clock.now() + ECHO_SECONDS
            self._workers.queue.add_at(key_of(self._resource, after), later)
            return
        for obj in filter(None, (before, after)):
            self.enqueue(key_of(self._resource, obj))


def is_status_alone(before: JsonObject, after: JsonObject) -> bool:
    """Tell whether nothing but the status of an object changed. Pure."""
    return before.keys() | {"status"} == after.keys() | {"status"} and all(
        before[name] == after[name] if name != "metadata" else _marks(before) == _marks(after)
        for name in before.keys() - {"status"}
    )


def _marks(obj: JsonObject) -> JsonObject:
    """The metadata that a write of the status leaves as it is."""
    metadata = obj["metadata"]
    return {k: v for k, v in metadata.items() if k not in ("resourceVersion", "managedFields")}


def key_of(resource: str, obj: JsonObject) -> Key:
    """Return the key of an object of this resource."""
    metadata = obj["metadata"]
    return Key(resource, metadata.get("namespace", ""), metadata["name"])
