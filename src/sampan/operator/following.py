"""One resource of the cluster, followed for as long as the cluster has it.

A kind that is not there (Knative, KEDA, the Gateway API) is looked for again each while, so that
what waits for it goes on once it is installed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeAlias

from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError, NotFound
from sampan.machinery.informer import PAUSE, Informer
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import (
    LIST_ALL,
    WATCH_ALL,
    Event,
    EventType,
    ListOptions,
    Page,
    WatchOptions,
)
from sampan.operator.cache import Cache, place_of
from sampan.operator.cluster_store import ClusterStore

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 10.0
"""Between looks for a kind that the cluster does not have."""

Tell: TypeAlias = Callable[[JsonObject], None]
"""Called with an object, as it is cached, whenever it changed or went."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What is followed: `resource` in a namespace ("": in all), and who is told of each change.

    `appeared` is called when a kind that was missing is there.
    """

    resource: Resource
    cache: Cache
    tell: Tell
    namespace: str = ""
    appeared: Callable[[], None] = lambda: None


class Following:
    """Keeps one cache up to date until cancelled."""

    def __init__(self, store: ClusterStore, clock: Clock, what: Followed) -> None:
        self._store = store
        self._clock = clock
        self._what = what
        self._missing_before = False
        self.known = asyncio.Event()
        """Set once the resource is listed, or known not to be there."""
        self.present = False

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                what = self._what
                await self._store.list(what.resource.id, what.namespace, ListOptions(limit=1))
            except NotFound:
                self._note_missing()
                await self._clock.sleep(LOOK_AGAIN_SECONDS)
                continue
            except ApiError as error:
                log.warning("%s cannot be read now: %s", self._what.resource.id, error.message)
                await self._clock.sleep(PAUSE)
                continue
            await self._follow()

    async def _follow(self) -> None:
        """Follow until the kind is gone from the cluster."""
        self.present = True
        if self._missing_before:
            log.info("%s is served now", self._what.resource.id)
            self._what.appeared()
        what, source = self._what, _Present(self._store, self._what)
        informer = Informer(
            source, self._clock, what.resource.id, self._listen, what.namespace, trim=_as_it_is
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(informer.run())
                group.create_task(self._note_synced(informer))
        except* _KindGoneError:
            self._note_missing()

    async def _note_synced(self, informer: Informer) -> None:
        await informer.synced.wait()
        self.known.set()

    def _listen(self, before: JsonObject | None, after: JsonObject | None) -> None:
        self._what.cache.note(before, after)
        for obj in (before, after):
            if obj is not None:
                self._what.tell(obj)

    def _note_missing(self) -> None:
        if self.present or not self.known.is_set():
            log.info("%s is not served by this cluster", self._what.resource.id)
        self.present, self._missing_before = False, True
        self.known.set()
        what = self._what
        for gone in what.cache.clear():  # with their definition
            what.tell(gone)


def _as_it_is(obj: JsonObject) -> JsonObject:
    """What is followed is trimmed where it comes in."""
    return obj


class _KindGoneError(Exception):
    """The cluster does not serve the kind any more."""


class _Present:
    """A store whose kind is there: its absence ends the following, as no other error does.

    What it tells is trimmed, page by page: whole, never more than a page is in memory. Tells the
    cache how far lists and watches have come.
    """

    def __init__(self, store: ClusterStore, what: Followed) -> None:
        self._store = store
        self._what = what

    async def list(
        self, resource: str, namespace: str = "", options: ListOptions = LIST_ALL
    ) -> Page:
        """Return what the store does: everything, so that what it lacks is gone."""
        cache, items, version = self._what.cache, [], ""
        try:
            async for page in self._store.pages(resource, namespace, options):
                items += [cache.trim(obj) for obj in page.items]
                version = page.resource_version
                page.items.clear()  # before the next one is asked for
        except NotFound:
            raise _KindGoneError from None
        cache.hear(version)
        there = {place_of(obj) for obj in items}
        if namespace:  # the others in the cache are followed by others
            there |= {place for place in cache.places() if place[0] != namespace}
        for gone in cache.keep(there):
            self._what.tell(gone)
        return Page(items, version)

    async def watch(
        self, resource: str, namespace: str = "", options: WatchOptions = WATCH_ALL
    ) -> AsyncIterator[Event]:
        """Yield what the store does."""
        try:
            async for event in self._store.watch(resource, namespace, options):
                self._what.cache.hear(event.object["metadata"]["resourceVersion"])
                yield event if event.type is EventType.BOOKMARK else self._trimmed(event)
        except NotFound:
            raise _KindGoneError from None

    def _trimmed(self, event: Event) -> Event:
        return Event(event.type, self._what.cache.trim(event.object))
