"""Files in the place of an API server: what `kubectl get -o yaml` wrote, read as a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject, Registry
from sampan.operator.cluster_store import path_of
from sampan.operator.connection import JSON


class RecordedConnection:
    """Answers reads from objects; what is no read is refused, for there is nothing to write to."""

    def __init__(self, objects: Iterable[JsonObject], registry: Registry) -> None:
        self._items: dict[str, dict[str, JsonObject]] = {}
        self._plurals = {resource.plural for resource in registry}
        for given in objects:
            resource = registry.for_object(given)
            if resource is None:
                continue
            namespace = str(given["metadata"].get("namespace") or "default")
            obj = {**given, "metadata": {"resourceVersion": "0", **given["metadata"]}}
            place = path_of(resource, namespace)
            self._items.setdefault(place, {})[obj["metadata"]["name"]] = obj
            if resource.namespaced:
                key = f"{namespace}/{obj['metadata']['name']}"
                self._items.setdefault(path_of(resource, ""), {})[key] = obj

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        media_type: str = JSON,
    ) -> JsonObject:
        """Return an object or a list; raise NotFound."""
        del query, body, media_type
        if method != "GET":
            raise NotFound(f"{method} {path}: files are only read")
        parent, _, name = path.rpartition("/")
        if parent.rpartition("/")[2] not in self._plurals:
            return {"items": list(self._items.get(path, {}).values())}
        if name not in self._items.get(parent, {}):
            raise NotFound(f'"{name}" is not in the files')
        return self._items[parent][name]

    def stream(
        self, path: str, query: Mapping[str, str], idle_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Refuse: what is written in files does not change."""
        del query, idle_seconds
        raise NotFound(f"WATCH {path}: files are only read")

    async def close(self) -> None:
        """Hold nothing."""
