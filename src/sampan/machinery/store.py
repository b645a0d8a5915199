"""The store contract: what controllers and the API server need of a Kubernetes-like store.

Semantics are Kubernetes's (API concepts, "Resource versions", "Efficient detection of changes"):

- `resourceVersion` is one counter for the whole store, opaque to callers, growing with each write.
- `create` sets `metadata.uid`, `creationTimestamp`, `resourceVersion` and, for resources with
  `generation`, `generation: 1`.
- `update` with a `resourceVersion` that is not the stored one raises Conflict; without one it
  overwrites. A change outside `metadata` and `status` adds one to `generation`. With
  `status_subresource`, `update` keeps the stored status and `update_status` changes nothing else.
  An update that changes nothing writes nothing and returns the stored object.
- `delete` of an object with finalizers sets `deletionTimestamp`; it goes when the last finalizer
  is removed. Dependents named by `ownerReferences` are collected by
  `sampan.machinery.collector`.
- `watch(since=V)` yields every change after V in order, then goes on; V too old raises Expired.

Objects handed out are the caller's own: changing them changes nothing in the store.
`tests/conformance/store/` holds every implementation to this text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import orjson

from sampan.machinery.registry import JsonObject


class EventType(StrEnum):
    """What happened to an object, in Kubernetes's words."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


class Event:
    """One change. A BOOKMARK's object holds only kind, apiVersion and the resourceVersion.

    `data` is the object as JSON where it is at hand (else empty): who passes it on, to fifty
    watchers perhaps, need not have it decoded.
    """

    __slots__ = ("_object", "data", "type")

    def __init__(self, kind: EventType, obj: JsonObject | None = None, data: bytes = b"") -> None:
        self.type = kind
        self.data = data
        self._object = obj

    @property
    def object(self) -> JsonObject:
        """The object, decoded when it is first asked for."""
        if self._object is None:
            self._object = orjson.loads(self.data)
        return self._object


@dataclass(frozen=True, slots=True)
class Key:
    """Which object: resource id (`inferenceservices.serving.kserve.io`), namespace, name.

    `namespace` is empty for cluster-scoped resources.
    """

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Page:
    """A list answer: items, the version the list is of, and where to go on (empty: the end).

    `data` are the items as JSON where that is at hand (else empty): the store's own bytes, for who
    keeps them.
    """

    items: list[JsonObject]
    resource_version: str
    continue_token: str = ""
    remaining: int | None = None
    data: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What a delete insists on (DeleteOptions.preconditions)."""

    uid: str | None = None
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Paging and selection. `label_selector` and `field_selector` are Kubernetes's strings."""

    limit: int = 0
    continue_token: str = ""
    label_selector: str = ""
    field_selector: str = ""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """`since` empty: start with ADDED for all that is there now. Selectors as in `ListOptions`.

    `bookmarks`: send a BOOKMARK at least each `bookmark_seconds`, and after the first state.
    """

    since: str = ""
    label_selector: str = ""
    field_selector: str = ""
    bookmarks: bool = False
    bookmark_seconds: float = 60.0


NO_PRECONDITIONS = Preconditions()
LIST_ALL = ListOptions()
WATCH_ALL = WatchOptions()


class Store(Protocol):
    """Read, write and watch objects. Raises only `sampan.machinery.errors.ApiError` children."""

    async def get(self, key: Key) -> JsonObject:
        """Return the object; raise NotFound."""

    async def list(
        self, resource: str, namespace: str = "", options: ListOptions = LIST_ALL
    ) -> Page:
        """Return the objects of a namespace (empty: of all), sorted by namespace and name."""

    async def create(self, resource: str, obj: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Store a new object; raise AlreadyExists. Returns it as stored."""

    async def update(self, resource: str, obj: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace an object; raise NotFound or Conflict. Returns it as stored."""

    async def update_status(
        self, resource: str, obj: JsonObject, *, dry_run: bool = False
    ) -> JsonObject:
        """Replace an object's status only; raise NotFound or Conflict."""

    async def delete(
        self, key: Key, preconditions: Preconditions = NO_PRECONDITIONS, *, dry_run: bool = False
    ) -> JsonObject:
        """Delete, or mark for deletion while finalizers remain. Returns the last state."""

    def watch(
        self, resource: str, namespace: str = "", options: WatchOptions = WATCH_ALL
    ) -> AsyncIterator[Event]:
        """Yield changes from `options.since` on; raise Expired when that is no longer kept."""

    async def close(self) -> None:
        """Release files and end every watch."""


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How much history is kept for watches: the newest `events` changes."""

    events: int = field(default=5_000)
