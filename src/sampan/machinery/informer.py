"""What is there of one resource, kept up to date: list once, then watch, for ever.

A watch that ends is resumed from the last version seen, bookmarks included; one that is Expired
starts with a new list, and what vanished meanwhile is told as gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from itertools import repeat
from typing import Protocol, TypeAlias

import orjson

from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError, Expired
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import (
    LIST_ALL,
    WATCH_ALL,
    Event,
    EventType,
    ListOptions,
    Page,
    WatchOptions,
)

log = logging.getLogger(__name__)

Listener: TypeAlias = Callable[[JsonObject | None, JsonObject | None], None]
"""`(before, after)`: before is None for a new object, after None for one that is gone."""

Trim: TypeAlias = Callable[[JsonObject], JsonObject]
"""`object -> what of it is kept and told`: its metadata must tell one version from the next."""

PAUSE = 1.0
"""Seconds between tries when listing or watching raises: a store that is away is not hammered."""

_Place: TypeAlias = tuple[str, str]


class Followable(Protocol):
    """The part of a store that an informer asks."""

    async def list(
        self, resource: str, namespace: str = "", options: ListOptions = LIST_ALL
    ) -> Page:
        """Return the objects of a namespace (empty: of all)."""

    def watch(
        self, resource: str, namespace: str = "", options: WatchOptions = WATCH_ALL
    ) -> AsyncIterator[Event]:
        """Yield changes from `options.since` on; raise Expired when that is no longer kept."""


class Informer:
    """Follows one resource in a namespace (empty: in all) and tells a listener of each change.

    With `trim`, what it returns is kept and told. Without, objects are kept as JSON, the very bytes
    that the store has where it tells them, and decoded to be told: decoded they take six times as
    much, and several followers would each have their own.
    """

    def __init__(
        self,
        store: Followable,
        clock: Clock,
        resource: str,
        listener: Listener,
        namespace: str = "",
        *,
        trim: Trim | None = None,
    ) -> None:
        self._trim = trim
        self._store = store
        self._clock = clock
        self._resource = resource
        self._namespace = namespace
        self._listener = listener
        self._known: dict[_Place, JsonObject | bytes] = {}
        self.synced = asyncio.Event()

    def objects(self) -> Iterator[JsonObject]:
        """Yield what is known now. Not to be changed."""
        return (obj for place in self._known if (obj := self._before(place)) is not None)

    async def run(self) -> None:
        """Follow until cancelled, or until the store is closed."""
        version, listed = "", False
        while True:
            try:
                listed = not version
                version = version or await self._list()
                version = await self._follow(version)
            except Expired:
                version = ""
                if not listed:
                    continue  # at once; but a store to which its own list is too old must wait
            except ApiError as error:
                log.warning("%s cannot be watched now: %s", self._resource, error)
                version = ""
            await self._clock.sleep(PAUSE)

    async def _list(self) -> str:
        page = await self._store.list(self._resource, self._namespace)
        found = {
            _place(obj): (obj, data)
            for obj, data in zip(page.items, page.data or repeat(b""), strict=False)
        }
        for place in [p for p in self._known if p not in found]:
            self._tell(place, None)
        for place, (obj, data) in found.items():
            after = self._trim(obj) if self._trim else obj
            before = self._before(place)
            if before is None or before["metadata"] != after["metadata"]:
                self._tell(place, after, data)
        self.synced.set()
        return page.resource_version

    async def _follow(self, version: str) -> str:
        """Take in events until the watch ends; return the version to resume from."""
        options = WatchOptions(since=version, bookmarks=True)
        events = self._store.watch(self._resource, self._namespace, options)
        try:
            async for event in events:
                version = event.object["metadata"]["resourceVersion"]
                if event.type is EventType.DELETED:
                    self._tell(_place(event.object), None)
                elif event.type is not EventType.BOOKMARK:
                    after = self._trim(event.object) if self._trim else event.object
                    self._tell(_place(event.object), after, event.data)
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()
        return version

    def _tell(self, place: _Place, after: JsonObject | None, data: bytes = b"") -> None:
        """Note a change and tell of it; `data` is the object as JSON, where that is at hand."""
        before = self._before(place)
        if after is None:
            self._known.pop(place, None)
        elif self._trim is not None:
            self._known[place] = after
        else:
            self._known[place] = data or orjson.dumps(after)
        self._listener(before, after)

    def _before(self, place: _Place) -> JsonObject | None:
        known = self._known.get(place)
        return orjson.loads(known) if isinstance(known, bytes) else known


def _place(obj: JsonObject) -> _Place:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
