"""What the operator knows of one resource without asking: each object packed, found by its owner.

Five thousand services have thirty thousand objects: as decoded JSON they would take a gigabyte, as
text a tenth of that, and unpacking one costs microseconds when its service is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import orjson

from sampan.machinery.registry import JsonObject

PACKED = "packed"
"""The member of a trimmed object that holds the whole one as text."""

_SERVING = "serving.kserve.io/"

Place: TypeAlias = tuple[str, str]
"""Namespace and name."""

Trim: TypeAlias = Callable[[JsonObject], JsonObject]


Index: TypeAlias = Callable[[JsonObject], str]
"""`object -> key` by which it is found; "" for one that nobody looks for."""


def owner_uid(obj: Mapping[str, Any]) -> str:
    """Return the uid of the object's controller, "" where it has none. Pure."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((str(o.get("uid", "")) for o in owners if o.get("controller")), "")


def owner_of(obj: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return kind and name of the service or graph that controls an object. Pure."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and str(owner.get("apiVersion")).startswith(_SERVING):
            return str(owner.get("kind")), str(owner.get("name"))
    return None


def make_trim(keep: Trim = lambda obj: obj, index: Index = owner_uid) -> Trim:
    """Return what an informer keeps of an object: name, version, index and the rest, packed."""

    def trim(obj: JsonObject) -> JsonObject:
        metadata = obj["metadata"]
        head = {k: metadata[k] for k in ("name", "namespace", "resourceVersion") if k in metadata}
        return {"metadata": head, PACKED: orjson.dumps(keep(obj)), "index": index(obj)}

    return trim


def keep_of_child(obj: Mapping[str, Any]) -> JsonObject:
    """Return an object without what other doors than its own wrote into `managedFields`.

    Of one that no service controls only the name counts, which it keeps others from having.
    """
    metadata = obj["metadata"]
    if owner_of(obj) is None:
        kept = ("name", "namespace", "resourceVersion", "ownerReferences", "deletionTimestamp")
        named = {k: metadata[k] for k in kept if k in metadata}
        return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": named}
    entries = [e for e in metadata.get("managedFields") or () if not e.get("subresource")]
    return {**obj, "metadata": {**metadata, "managedFields": entries}}


class Cache:
    """Objects of one resource as last seen. Given by an informer, read by reconciles."""

    def __init__(self, trim: Trim | None = None) -> None:
        self.trim = trim or make_trim()
        self._objects: dict[Place, JsonObject] = {}
        self._by_index: dict[str, set[Place]] = {}
        self._by_namespace: dict[str, set[Place]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def note(self, before: JsonObject | None, after: JsonObject | None) -> None:
        """Take in a change that an informer tells of; one older than what is known is left out."""
        if after is None:
            if before is not None:
                self._forget(_place(before))
        elif not self._is_older(after):
            self._put(after)

    def assume(self, obj: JsonObject) -> None:
        """Take in the answer of a write, before the watch tells of it."""
        trimmed = self.trim(obj)
        if not self._is_older(trimmed):
            self._put(trimmed)

    def get(self, namespace: str, name: str) -> JsonObject | None:
        """Return an object, the caller's own, or None."""
        found = self._objects.get((namespace, name))
        return None if found is None else unpacked(found)

    def indexed(self, key: str) -> Iterator[JsonObject]:
        """Yield the objects of a key of the index, by name: of a controller's uid."""
        for place in sorted(self._by_index.get(key, ())):
            yield unpacked(self._objects[place])

    def in_namespace(self, namespace: str) -> Iterator[JsonObject]:
        """Yield the objects of a namespace ("": those of none), by name."""
        for place in sorted(self._by_namespace.get(namespace, ())):
            yield unpacked(self._objects[place])

    def places(self) -> tuple[Place, ...]:
        """Return the namespace and name of every object."""
        return tuple(self._objects)

    def _is_older(self, trimmed: JsonObject) -> bool:
        """Whether a version was overtaken; versions are numbers that grow (API concepts, 1.35)."""
        known = self._objects.get(_place(trimmed))
        if known is None:
            return False
        versions = [str(o["metadata"].get("resourceVersion", "")) for o in (trimmed, known)]
        return all(v.isdigit() for v in versions) and int(versions[0]) < int(versions[1])

    def _put(self, trimmed: JsonObject) -> None:
        place = _place(trimmed)
        self._forget(place)
        self._objects[place] = trimmed
        self._by_namespace.setdefault(place[0], set()).add(place)
        if trimmed["index"]:
            self._by_index.setdefault(trimmed["index"], set()).add(place)

    def _forget(self, place: Place) -> None:
        known = self._objects.pop(place, None)
        if known is None:
            return
        for index, key in ((self._by_index, known["index"]), (self._by_namespace, place[0])):
            places = index.get(key)
            if places is not None:
                places.discard(place)
                if not places:
                    del index[key]


def _place(obj: JsonObject) -> Place:
    metadata = obj["metadata"]
    return str(metadata.get("namespace") or ""), str(metadata["name"])


def unpacked(trimmed: Mapping[str, Any]) -> JsonObject:
    """Return what was kept of an object, the caller's own."""
    obj: JsonObject = orjson.loads(trimmed[PACKED])
    return obj
