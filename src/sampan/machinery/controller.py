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
        own = Watch(resource, lambda obj: (key_of(resource, obj),))
        # What several watch is followed, decoded and held once.
        followed: dict[tuple[str, str], list[Watch]] = {}
        for watch in (own, *watches):
            followed.setdefault((watch.resource, watch.namespace), []).append(watch)
        self._informers = [
            Informer(store, clock, followed_resource, self._listener(who), namespace)
            for (followed_resource, namespace), who in followed.items()
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

    def _listener(self, watches: list[Watch]) -> Listener:
        def listen(before: JsonObject | None, after: JsonObject | None) -> None:
            for watch in watches:
                for obj in (before, after):
                    for key in watch.keys(obj) if obj is not None else ():
                        self.enqueue(key)

        return listen


def key_of(resource: str, obj: JsonObject) -> Key:
    """Return the key of an object of this resource."""
    metadata = obj["metadata"]
    return Key(resource, metadata.get("namespace", ""), metadata["name"])
