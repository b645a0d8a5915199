"""The store's behaviour, over a journal that may or may not be durable.

All objects stand in memory as JSON; decoding them at each read makes them the caller's own.
Writes queue: one task takes all that wait, decides each against those before it, hands the changes
to the journal as one group, and only when that returns shows them to readers and watchers. So
nothing is seen that a crash could take back, and many writers share one fsync.

An engine belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from sampan.machinery import object_meta
from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError, Expired
from sampan.machinery.history import Change, History
from sampan.machinery.listing import (
    Location,
    Objects,
    decode,
    make_page,
    make_selection,
    parse_token,
    parse_version,
)
from sampan.machinery.object_meta import Birth, Effect, Outcome
from sampan.machinery.registry import JsonObject, Registry, Resource
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
    StoreLimits,
    WatchOptions,
)
from sampan.machinery.store_draft import Decide, Draft, Write, decided, stored

NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes's own: no vowels, so no words; no characters that look alike."""

NAME_ATTEMPTS = 8
"""Tries for a free `generateName`, as Kubernetes has it."""

FIRST_VERSION = 1
"""An empty store's version; 0 would mean "any version" to a watch."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal held when it was opened."""

    version: int = FIRST_VERSION
    objects: Mapping[Key, bytes] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


class Journal(Protocol):
    """Where changes are made to last."""

    async def append(self, changes: list[Change]) -> None:
        """Return when all changes will survive; raise ApiError when none will."""

    async def close(self) -> None:
        """Release what is held."""


@dataclass(slots=True, eq=False)
class _Follower:
    """A watch: all of its resource up to `version` was told. Woken only for its own resource."""

    resource: str
    version: int
    waker: asyncio.Event = field(default_factory=asyncio.Event)


class StoreClosed(ApiError):
    """The store was closed and takes no more writes."""

    code, reason = 503, "ServiceUnavailable"


Writes: TypeAlias = list[Write]
Changes: TypeAlias = list[Change]


class StoreEngine:
    """The `Store` contract, over a journal and what it held."""

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        limits: StoreLimits,
        journal: Journal,
        contents: Contents,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._journal = journal
        self._history = History(contents.version, contents.changes, limits.events)
        self._objects: dict[str, dict[Location, bytes]] = {}
        for key, data in contents.objects.items():
            self._put(key, data)
        self._waiting: Writes = []
        self._writer: asyncio.Task[None] | None = None
        self._followers: set[_Follower] = set()
        self._closed = False

    async def get(self, key: Key) -> JsonObject:
        """Return the object; raise NotFound."""
        resource = self._registry.get(key.resource)
        data = self._objects.get(key.resource, {}).get((key.namespace, key.name))
        if data is None:
            raise object_meta.not_found(resource, key.name)
        return decode(data)

    async def list(
        self, resource: str, namespace: str = "", options: ListOptions = LIST_ALL
    ) -> Page:
        """Return the objects of a namespace (empty: of all), sorted by namespace and name.

        With `limit`, all pages of a list show the store at one version; Expired when that is no
        longer kept.
        """
        self._registry.get(resource)
        selection = make_selection(
            resource, namespace, options.label_selector, options.field_selector
        )
        version, after = self._history.version, ("", "")
        objects: Objects = self._objects.get(resource, {})
        if options.continue_token:
            version, after = parse_token(options.continue_token)
            objects = self._objects_at(resource, version)
        return make_page(selection, objects, version, after, options.limit)

    async def create(self, resource: str, obj: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Store a new object; raise AlreadyExists. Returns it as stored."""
        kind = self._registry.get(resource)
        return await self._write(lambda draft: self._created(draft, kind, obj), dry_run)

    async def update(self, resource: str, obj: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace an object; raise NotFound or Conflict. Returns it as stored."""
        kind = self._registry.get(resource)
        key = _key_of(kind, obj)

        def decide(draft: Draft) -> tuple[Key, Outcome]:
            return key, object_meta.make_updated(kind, stored(draft, kind, key), obj)

        return await self._write(decide, dry_run)

    async def update_status(
        self, resource: str, obj: JsonObject, *, dry_run: bool = False
    ) -> JsonObject:
        """Replace an object's status only; raise NotFound or Conflict."""
        kind = self._registry.get(resource)
        key = _key_of(kind, obj)

        def decide(draft: Draft) -> tuple[Key, Outcome]:
            return key, object_meta.make_status_updated(kind, stored(draft, kind, key), obj)

        return await self._write(decide, dry_run)

    async def delete(
        self, key: Key, preconditions: Preconditions = NO_PRECONDITIONS, *, dry_run: bool = False
    ) -> JsonObject:
        """Delete, or mark for deletion while finalizers remain. Returns the last state."""
        kind = self._registry.get(key.resource)

        def decide(draft: Draft) -> tuple[Key, Outcome]:
            old = stored(draft, kind, key)
            object_meta.check_preconditions(
                kind, old, preconditions.uid, preconditions.resource_version
            )
            return key, object_meta.make_deleted(old, self._clock.now())

        return await self._write(decide, dry_run)

    async def watch(
        self, resource: str, namespace: str = "", options: WatchOptions = WATCH_ALL
    ) -> AsyncIterator[Event]:
        """Yield changes from `options.since` on; raise Expired when that is no longer kept.

        `since` "" or "0" starts with ADDED for what is there. A reader slower than the history is
        long gets Expired too. Ends when the store is closed.
        """
        kind = self._registry.get(resource)
        selection = make_selection(
            resource, namespace, options.label_selector, options.field_selector
        )
        follower = _Follower(resource, parse_version(options.since))
        timer = self._set_timer(follower.waker, options)
        self._followers.add(follower)
        try:
            if not follower.version:
                follower.version = self._history.version
                everything = make_page(
                    selection, self._objects.get(resource, {}), follower.version, ("", ""), 0
                )
                for obj in everything.items:
                    yield Event(EventType.ADDED, obj)
                if options.bookmarks:
                    yield _bookmark(kind, follower.version)
            while not self._closed:
                follower.waker.clear()
                for change in self._history.after(follower.version):
                    follower.version = change.version
                    event = selection.event(change)
                    if event is not None:
                        yield event
                if timer is not None and timer.done():
                    yield _bookmark(kind, follower.version)
                    timer = self._set_timer(follower.waker, options)
                if not follower.waker.is_set():
                    follower.version = self._history.version  # what came meanwhile is of others
                await follower.waker.wait()
        finally:
            self._followers.discard(follower)
            if timer is not None:
                timer.cancel()

    async def close(self) -> None:
        """Finish the writes that wait, end every watch, release files."""
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            await self._writer
        self._wake()
        await self._journal.close()

    def _created(self, draft: Draft, kind: Resource, obj: JsonObject) -> tuple[Key, Outcome]:
        for _ in range(NAME_ATTEMPTS):
            suffix = "".join(
                secrets.choice(NAME_ALPHABET) for _ in range(object_meta.GENERATED_SUFFIX)
            )
            birth = Birth(str(uuid.uuid4()), suffix, self._clock.now())
            new = object_meta.make_created(kind, obj, birth)
            key = _key_of(kind, new)
            if draft.read(key) is None:
                return key, Outcome(Effect.STORED, new)
            if obj["metadata"].get("name"):
                break
        raise object_meta.already_exists(kind, key.name)

    async def _write(self, decide: Decide, dry_run: bool) -> JsonObject:
        if self._closed:
            raise StoreClosed("the store is closed and takes no more writes; start Sampan again")
        write = Write(decide, dry_run, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return await write.answer

    async def _write_all(self) -> None:
        """Write group after group until none waits. A caller that gave up does not stop it."""
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                await self._write_group(group)
        finally:
            self._writer = None

    async def _write_group(self, group: Writes) -> None:
        draft = Draft(self._objects, self._history.version)
        results = [decided(draft, write) for write in group]
        if draft.changes:
            try:
                await self._journal.append(draft.changes)
            except Exception as error:  # noqa: BLE001 - whatever it was, each caller is told
                results = [error] * len(group)
            else:
                self._publish(draft.changes)
        for write, result in zip(group, results, strict=True):
            if write.answer.done():
                continue
            if isinstance(result, Exception):
                write.answer.set_exception(result)
            else:
                write.answer.set_result(result)

    def _publish(self, changes: Changes) -> None:
        for change in changes:
            self._put(change.key, change.current)
        touched, before = {change.key.resource for change in changes}, self._history.version
        self._history.extend(changes)
        for follower in self._followers:
            if follower.resource in touched:
                follower.waker.set()
            elif follower.version == before:
                follower.version = self._history.version  # else it fell behind what is kept

    def _put(self, key: Key, data: bytes | None) -> None:
        objects = self._objects.setdefault(key.resource, {})
        if data is None:
            objects.pop((key.namespace, key.name), None)
        else:
            objects[key.namespace, key.name] = data

    def _objects_at(self, resource: str, version: int) -> Objects:
        """Return what was there at a version, by taking back the changes since."""
        try:
            changes = list(self._history.after(version))
        except Expired:
            raise Expired(
                "The provided continue parameter is too old to display a consistent list result; "
                "start a new list without the continue parameter"
            ) from None
        objects = dict(self._objects.get(resource, {}))
        for change in reversed(changes):
            if change.key.resource == resource:
                location = (change.key.namespace, change.key.name)
                if change.previous is None:
                    objects.pop(location, None)
                else:
                    objects[location] = change.previous
        return objects

    def _wake(self) -> None:
        for follower in self._followers:
            follower.waker.set()

    def _set_timer(self, waker: asyncio.Event, options: WatchOptions) -> asyncio.Task[None] | None:
        if not options.bookmarks:
            return None

        async def ring() -> None:
            await self._clock.sleep(options.bookmark_seconds)
            waker.set()

        return asyncio.create_task(ring())


def _key_of(kind: Resource, obj: JsonObject) -> Key:
    namespace, name = object_meta.location(kind, obj)
    return Key(kind.id, namespace, name)


def _bookmark(kind: Resource, version: int) -> Event:
    return Event(
        EventType.BOOKMARK,
        {
            "kind": kind.kind,
            "apiVersion": kind.api_version,
            "metadata": {"resourceVersion": str(version)},
        },
    )
