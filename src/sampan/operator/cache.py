"""What the operator knows of one resource without asking: each object packed, found by its owner.

Five thousand services have thirty thousand objects: as decoded JSON they would take a gigabyte, as
text a tenth of that, and unpacking one costs microseconds when its service is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
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
        return {"metadata": head, PACKED: _pack(keep(obj)), "index": index(obj)}

    return trim


def _pack(obj: JsonObject) -> bytes:
    """Return an object as text, in as much memory as that takes: what orjson returns lies in a
    buffer that was made for more, and thirty thousand of those take five times their length.
    """
    return bytes(memoryview(orjson.dumps(obj)))


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
    """Objects of one resource as last seen. Given by an informer, read by reconciles.

    Writes are answered on other connections than the one that tells of changes, so that an answer
    may come after its object's end was told. By versions it is known which was first: they are
    numbers that grow, of all objects of a resource alike (API concepts, 1.35).
    """

    def __init__(self, trim: Trim | None = None) -> None:
        self.trim = trim or make_trim()
        self._heard = 0
        self._objects: dict[Place, JsonObject] = {}
        self._by_index: dict[str, set[Place]] = {}
        self._by_namespace: dict[str, set[Place]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def note(self, before: JsonObject | None, after: JsonObject | None) -> None:
        """Take in a change that an informer tells of; one older than what is known is left out."""
        if after is None:
            if before is not None:
                self._forget_told(place_of(before))
        elif not self._is_older(after):
            self._put(after)

    def assume(self, obj: JsonObject) -> None:
        """Take in the answer of a write, before the watch tells of it.

        One that the watch has passed, and that is not there, is gone by now.
        """
        trimmed = self.trim(obj)
        gone = place_of(trimmed) not in self._objects and 0 < _version(trimmed) <= self._heard
        if not gone and not self._is_older(trimmed):
            self._put(trimmed)

    def hear(self, version: str) -> None:
        """Note how far lists and watches have told of changes: before those are noted."""
        if version.isdigit():
            self._heard = max(self._heard, int(version))

    def keep(self, places: Container[Place]) -> list[JsonObject]:
        """Forget what a list does not have, but what was written since; return what is forgotten.

        What a watch that broke has never told of is forgotten by nobody else.
        """
        lost = [p for p in self._objects if p not in places and not self._is_unheard(p)]
        return [self._forget(place) for place in lost]

    def clear(self) -> list[JsonObject]:
        """Forget everything; return what is forgotten."""
        return [self._forget(place) for place in self.places()]

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
        """Whether a version was overtaken."""
        known = self._objects.get(place_of(trimmed))
        return known is not None and 0 < _version(trimmed) < _version(known)

    def _is_unheard(self, place: Place) -> bool:
        """Whether what is known of an object is the answer of a write that no watch told of yet."""
        known = self._objects.get(place)
        return known is not None and _version(known) > self._heard > 0

    def _forget_told(self, place: Place) -> None:
        if place in self._objects and not self._is_unheard(place):
            self._forget(place)

    def _put(self, trimmed: JsonObject) -> None:
        place = place_of(trimmed)
        if place in self._objects:
            self._forget(place)
        self._objects[place] = trimmed
        self._by_namespace.setdefault(place[0], set()).add(place)
        if trimmed["index"]:
            self._by_index.setdefault(trimmed["index"], set()).add(place)

    def _forget(self, place: Place) -> JsonObject:
        known = self._objects.pop(place)
        for index, key in ((self._by_index, known["index"]), (self._by_namespace, place[0])):
            places = index.get(key)
            if places is not None:
                places.discard(place)
                if not places:
                    del index[key]
        return known


def place_of(obj: JsonObject) -> Place:
    """Return where an object is, trimmed or not. Pure."""
    metadata = obj["metadata"]
    return str(metadata.get("namespace") or ""), str(metadata["name"])


def _version(obj: JsonObject) -> int:
    """Return an object's version; 0 where it is no number."""
    text = str(obj["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def unpacked(trimmed: Mapping[str, Any]) -> JsonObject:
    """Return what was kept of an object, the caller's own."""
    obj: JsonObject = orjson.loads(trimmed[PACKED])
    return obj
