"""A cluster's API server as a `Store`, with what only an API server has: server-side apply.

Held to the store's contract where a real server keeps it: lists that go on by `continue`, watches
that resume from a version and raise Expired when that is too old (Kubernetes, API concepts).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from sampan.machinery.errors import Expired
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
    WatchOptions,
)
from sampan.operator.connection import (
    APPLY,
    JSON_PATCH,
    MERGE_PATCH,
    Calls,
    Unavailable,
    make_error,
)

PAGE = 500
"""Objects a list asks for at once: kubectl's and client-go's number."""
WATCH_SECONDS = 300
"""After which the server ends a watch; it is resumed, perhaps at another server of the cluster."""
IDLE_SECONDS = 90.0
"""Servers send a bookmark each minute; a connection that is silent for longer is dead."""


class ClusterStore:
    """Reads, writes and watches objects of a cluster.

    `selectors` are label selectors by resource id, with which that resource is listed and watched
    unless the caller gives another.
    """

    def __init__(
        self,
        connection: Calls,
        registry: Registry,
        selectors: Mapping[str, str] | None = None,
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._selectors = selectors or {}

    async def get(self, key: Key) -> JsonObject:
        """Return the object; raise NotFound."""
        return await self._connection.call("GET", self._path(key))

    async def list(
        self, resource: str, namespace: str = "", options: ListOptions = LIST_ALL
    ) -> Page:
        """Return a page of `options.limit`, or without a limit everything, page by page."""
        if options.limit:
            return await self._page(resource, namespace, options)
        items: list[JsonObject] = []
        version = ""
        async for page in self.pages(resource, namespace, options):
            items += page.items
            version = page.resource_version
        return Page(items, version)

    async def pages(
        self, resource: str, namespace: str = "", options: ListOptions = LIST_ALL
    ) -> AsyncIterator[Page]:
        """Yield everything, page by page: decoded, all of it would take ten times what is kept.

        All pages are of one moment, that of the last one's version.
        """
        token = options.continue_token
        while True:
            asked = ListOptions(PAGE, token, options.label_selector, options.field_selector)
            page = await self._page(resource, namespace, asked)
            yield page
            token = page.continue_token
            if not token:
                return

    async def _page(self, resource: str, namespace: str, options: ListOptions) -> Page:
        query = {
            "limit": str(options.limit),
            "continue": options.continue_token,
            "labelSelector": options.label_selector or self._selectors.get(resource, ""),
            "fieldSelector": options.field_selector,
        }
        found = self._registry.get(resource)
        answer = await self._connection.call("GET", path_of(found, namespace), _given(query))
        meta = answer.get("metadata") or {}
        # Lists of Kubernetes's own kinds do not repeat the kind in each item.
        head = {"apiVersion": found.api_version, "kind": found.kind}
        items = [{**head, **item} for item in answer.get("items") or ()]
        version, token = str(meta.get("resourceVersion", "")), str(meta.get("continue") or "")
        return Page(items, version, token, meta.get("remainingItemCount"))

    async def create(self, resource: str, obj: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Store a new object; raise AlreadyExists."""
        path = path_of(self._registry.get(resource), _namespace(obj))
        return await self._connection.call("POST", path, _dry(dry_run=dry_run), obj)

    async def update(self, resource: str, obj: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Replace an object; raise NotFound or Conflict."""
        path = self._path(_key(resource, obj))
        return await self._connection.call("PUT", path, _dry(dry_run=dry_run), obj)

    async def update_status(
        self, resource: str, obj: JsonObject, *, dry_run: bool = False
    ) -> JsonObject:
        """Replace an object's status only; raise NotFound or Conflict."""
        path = f"{self._path(_key(resource, obj))}/status"
        return await self._connection.call("PUT", path, _dry(dry_run=dry_run), obj)

    async def delete(
        self, key: Key, preconditions: Preconditions = NO_PRECONDITIONS, *, dry_run: bool = False
    ) -> JsonObject:
        """Delete in the background, or mark for deletion. Returns what the server says."""
        wanted = {"uid": preconditions.uid, "resourceVersion": preconditions.resource_version}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {k: v for k, v in wanted.items() if v},
        }
        return await self._connection.call("DELETE", self._path(key), _dry(dry_run=dry_run), body)

    async def apply(self, resource: str, obj: JsonObject, manager: str) -> JsonObject:
        """Apply what `manager` wants of an object, over whoever else wrote those fields."""
        query = {"fieldManager": manager, "force": "true"}
        path = self._path(_key(resource, obj))
        return await self._connection.call("PATCH", path, query, obj, APPLY)

    async def patch(self, key: Key, operations: Sequence[JsonObject]) -> JsonObject:
        """Change an object by a JSON patch (RFC 6902)."""
        return await self._connection.call("PATCH", self._path(key), None, operations, JSON_PATCH)

    async def scale(self, key: Key, replicas: int, manager: str, version: str = "") -> None:
        """Say how many replicas an object has, and nothing else of it (subresource `scale`).

        With a `version` it raises Conflict where the object is of another one by now.
        """
        body: JsonObject = {"spec": {"replicas": replicas}}
        if version:
            body["metadata"] = {"resourceVersion": version}
        path = f"{self._path(key)}/scale"
        await self._connection.call("PATCH", path, {"fieldManager": manager}, body, MERGE_PATCH)

    async def watch(
        self, resource: str, namespace: str = "", options: WatchOptions = WATCH_ALL
    ) -> AsyncIterator[Event]:
        """Yield changes from `options.since` on, until the server ends the watch or it breaks.

        Raises Expired when that version is no longer kept. Resume from the last version seen.
        """
        query = {
            "watch": "true",
            "resourceVersion": options.since,
            "labelSelector": options.label_selector or self._selectors.get(resource, ""),
            "fieldSelector": options.field_selector,
            "allowWatchBookmarks": "true" if options.bookmarks else "",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        path = path_of(self._registry.get(resource), namespace)
        opened = False
        try:
            async with self._connection.stream(path, _given(query), IDLE_SECONDS) as lines:
                opened = True
                async for line in lines:
                    yield make_event(line)
        except Unavailable:
            if not opened:
                raise  # one that breaks later just ends: nothing was missed

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    def _path(self, key: Key) -> str:
        return f"{path_of(self._registry.get(key.resource), key.namespace)}/{key.name}"


def make_event(line: bytes) -> Event:
    """Return the event of a line of a watch; raise the error that it tells of. Pure."""
    told = orjson.loads(line)
    obj: JsonObject = told["object"]
    if told["type"] == "ERROR":
        error = make_error(int(obj.get("code") or 500), orjson.dumps(obj))
        raise Expired(error.message) if obj.get("reason") == "Expired" else error
    return Event(EventType(told["type"]), obj)


def path_of(resource: Resource, namespace: str) -> str:
    """Return where a resource is served, in a namespace or ("") in all. Pure."""
    root = f"/apis/{resource.group}" if resource.group else "/api"
    place = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
    return f"{root}/{resource.version}{place}/{resource.plural}"


def _key(resource: str, obj: JsonObject) -> Key:
    return Key(resource, _namespace(obj), str(obj["metadata"]["name"]))


def _namespace(obj: JsonObject) -> str:
    return str(obj["metadata"].get("namespace") or "")


def _given(query: Mapping[str, Any]) -> dict[str, str]:
    return {k: v for k, v in query.items() if v}


def _dry(*, dry_run: bool) -> dict[str, str] | None:
    return {"dryRun": "All"} if dry_run else None
