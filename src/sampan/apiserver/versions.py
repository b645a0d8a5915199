"""A store as clients of an older version see it: objects are converted on their way in and out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from sampan.machinery.registry import JsonObject, OlderVersion
from sampan.machinery.store import (
    LIST_ALL,
    NO_PRECONDITIONS,
    WATCH_ALL,
    Event,
    EventType,
    Key,
    ListOptions,
    Page,
    Preconditions,
    Store,
    WatchOptions,
)


class ConvertedStore:
    """The `Store` contract over a store of the newer version, for the objects of one resource."""

    def __init__(self, store: Store, version: OlderVersion) -> None:
        self._store = store
        self._version = version

    async def get(self, key: Key) -> JsonObject:
        """Return the object; raise NotFound."""
        return self._older(await self._store.get(key))

    async def list(
        self, resource: str, namespace: str = "", options: ListOptions = LIST_ALL
    ) -> Page:
        """Return the objects of a namespace (empty: of all), sorted by namespace and name."""
        page = await self._store.list(resource, namespace, options)
        items = [self._older(obj) for obj in page.items]
        return Page(items, page.resource_version, page.continue_token, page.remaining)

    async def create(self, resource: str, obj: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Store a new object; raise AlreadyExists. Returns it as stored."""
        stored = self._version.to_stored(obj)
        return self._older(await self._store.create(resource, stored, dry_run=dry_run))

    async def update(self, resource: str, obj: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace an object; raise NotFound or Conflict. Returns it as stored."""
        stored = self._version.to_stored(obj)
        return self._older(await self._store.update(resource, stored, dry_run=dry_run))

    async def update_status(
        self, resource: str, obj: JsonObject, *, dry_run: bool = False
    ) -> JsonObject:
        """Replace an object's status only; raise NotFound or Conflict."""
        stored = self._version.to_stored(obj)
        return self._older(await self._store.update_status(resource, stored, dry_run=dry_run))

    async def delete(
        self, key: Key, preconditions: Preconditions = NO_PRECONDITIONS, *, dry_run: bool = False
    ) -> JsonObject:
        """Delete, or mark for deletion while finalizers remain. Returns the last state."""
        return self._older(await self._store.delete(key, preconditions, dry_run=dry_run))

    def watch(
        self, resource: str, namespace: str = "", options: WatchOptions = WATCH_ALL
    ) -> AsyncIterator[Event]:
        """Yield changes from `options.since` on; raise Expired when that is no longer kept."""
        return self._converted(self._store.watch(resource, namespace, options))

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _converted(self, events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
        try:
            async for event in events:
                yield Event(event.type, self._shown(event))
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    def _shown(self, event: Event) -> JsonObject:
        if event.type is EventType.BOOKMARK:  # it has no fields but these
            return {**event.object, "apiVersion": self._version.resource.api_version}
        return self._older(event.object)

    def _older(self, obj: JsonObject) -> JsonObject:
        return self._version.to_older(obj)
