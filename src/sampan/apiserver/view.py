"""Objects that are not stored but shown: a read-only resource with versions and watches.

The view asks its source when it is read, compares with what it showed last, and numbers the
differences, so that lists, selectors and watches work as for stored objects.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Protocol

import orjson

from sampan.machinery.clock import Clock
from sampan.machinery.history import Change, History
from sampan.machinery.listing import (
    Location,
    decode,
    make_page,
    make_selection,
    parse_token,
    parse_version,
)
from sampan.machinery.object_meta import make_versioned, not_found
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import (
    LIST_ALL,
    WATCH_ALL,
    Event,
    EventType,
    Key,
    ListOptions,
    Page,
    WatchOptions,
)

log = logging.getLogger(__name__)

KEPT_CHANGES = 1000


class Source(Protocol):
    """Who knows the objects."""

    async def objects(self) -> Iterable[JsonObject]:
        """Return every object, without resourceVersion, in no order."""

    def changes(self) -> AsyncIterator[object]:
        """Yield something whenever the answer of `objects` may have changed."""


class View:
    """The reading half of the `Store` contract over a source of one resource."""

    def __init__(self, resource: Resource, source: Source, clock: Clock) -> None:
        self._resource = resource
        self._source = source
        # Versions of an earlier run lie below this one's, so that its watches get 410 Expired.
        self._history = History(int(clock.now() * 1000), (), KEPT_CHANGES)
        self._shown: dict[Location, bytes] = {}
        self._wakers: set[asyncio.Event] = set()
        self._pump: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> JsonObject:
        """Return one object; raise NotFound."""
        await self._refresh()
        data = self._shown.get((key.namespace, key.name))
        if data is None:
            raise not_found(self._resource, key.name)
        return decode(data)

    async def list(
        self, resource: str, namespace: str = "", options: ListOptions = LIST_ALL
    ) -> Page:
        """Return the objects of a namespace (empty: of all)."""
        await self._refresh()
        selection = make_selection(
            resource, namespace, options.label_selector, options.field_selector
        )
        after = parse_token(options.continue_token)[1] if options.continue_token else ("", "")
        return make_page(selection, self._shown, self._history.version, after, options.limit)

    async def watch(
        self, resource: str, namespace: str = "", options: WatchOptions = WATCH_ALL
    ) -> AsyncGenerator[Event, None]:
        """Yield changes from `options.since` on; raise Expired when that is no longer kept."""
        selection = make_selection(
            resource, namespace, options.label_selector, options.field_selector
        )
        await self._refresh()
        version = parse_version(options.since)
        waker = self._subscribe()
        try:
            if not version:
                version = self._history.version
                for obj in make_page(selection, self._shown, version, ("", ""), 0).items:
                    yield Event(EventType.ADDED, obj)
                if options.bookmarks:
                    yield self._bookmark(version)
            while self._pump is not None and not self._pump.done():
                waker.clear()
                for change in self._history.after(version):
                    version = change.version
                    if (event := selection.event(change)) is not None:
                        yield event
                await waker.wait()
        finally:
            await self._unsubscribe(waker)

    async def _refresh(self) -> None:
        found = {_location(obj): obj for obj in await self._source.objects()}
        changes: list[Change] = []
        for location in sorted(self._shown.keys() | found.keys()):
            version = self._history.version + len(changes) + 1
            change = self._change(location, found.get(location), version)
            if change is not None:
                changes.append(change)
        if changes:
            self._take(changes)

    def _take(self, changes: Sequence[Change]) -> None:
        for change in changes:
            location = (change.key.namespace, change.key.name)
            if change.current is None:
                self._shown.pop(location, None)
            else:
                self._shown[location] = change.current
        self._history.extend([*changes])
        self._wake()

    def _wake(self) -> None:
        for waker in self._wakers:
            waker.set()

    def _subscribe(self) -> asyncio.Event:
        waker = asyncio.Event()
        self._wakers.add(waker)
        if self._pump is None or self._pump.done():  # the source is followed only while watched
            self._pump = asyncio.ensure_future(self._follow())
            self._pump.add_done_callback(lambda _: self._wake())
        return waker

    async def _unsubscribe(self, waker: asyncio.Event) -> None:
        self._wakers.discard(waker)
        if not self._wakers and self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
            self._pump = None

    async def _follow(self) -> None:
        try:
            async for _ in self._source.changes():
                await self._refresh()
        except Exception:
            log.exception("watches of %s end: their source failed", self._resource.id)

    def _change(self, location: Location, obj: JsonObject | None, version: int) -> Change | None:
        """Return what became of one object since it was last shown, if anything."""
        key, before = Key(self._resource.id, *location), self._shown.get(location)
        if obj is None:
            gone = orjson.dumps(make_versioned(decode(before or b"{}"), version))
            return Change(version, EventType.DELETED, key, gone, before)
        if before is None:
            data = orjson.dumps(self._identified(obj, version))
            return Change(version, EventType.ADDED, key, data, None)
        old = decode(before)
        new = self._identified(obj, int(old["metadata"]["resourceVersion"]))
        if new == old:
            return None
        data = orjson.dumps(make_versioned(new, version))
        return Change(version, EventType.MODIFIED, key, data, before)

    def _identified(self, obj: JsonObject, version: int) -> JsonObject:
        """Return the object with kind, version and a uid that is the same each time."""
        r, meta = self._resource, obj["metadata"]
        born = "/".join((r.id, *_location(obj), str(meta.get("creationTimestamp", ""))))
        uid = meta.get("uid") or str(uuid.uuid5(uuid.NAMESPACE_OID, born))
        whole = {"kind": r.kind, "apiVersion": r.api_version, **obj}
        return make_versioned({**whole, "metadata": {**meta, "uid": uid}}, version)

    def _bookmark(self, version: int) -> Event:
        r, meta = self._resource, {"resourceVersion": str(version)}
        return Event(
            EventType.BOOKMARK, {"kind": r.kind, "apiVersion": r.api_version, "metadata": meta}
        )


def _location(obj: JsonObject) -> Location:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
