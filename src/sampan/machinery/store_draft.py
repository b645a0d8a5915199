"""A group of writes, each decided against the objects as those before it leave them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from sampan.machinery import object_meta
from sampan.machinery.history import Change
from sampan.machinery.listing import Objects, decode
from sampan.machinery.object_meta import Effect, Outcome
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import EventType, Key

Decide: TypeAlias = "Callable[[Draft], tuple[Key, Outcome]]"
"""What a write does to which object, given the objects before it; raises ApiError."""


@dataclass(frozen=True, slots=True)
class Write:
    """A write that waits its turn."""

    decide: Decide
    dry_run: bool
    answer: asyncio.Future[JsonObject]


class Draft:
    """The stored objects as the writes of one group leave them."""

    def __init__(self, objects: Mapping[str, Objects], version: int) -> None:
        self._objects = objects
        self._overlay: dict[Key, bytes | None] = {}
        self._version = version
        self.changes: list[Change] = []

    def read(self, key: Key) -> bytes | None:
        """Return the object as JSON, or None."""
        if key in self._overlay:
            return self._overlay[key]
        return self._objects.get(key.resource, {}).get((key.namespace, key.name))

    def write(self, key: Key, outcome: Outcome) -> JsonObject:
        """Record the change of an outcome; return the object as stored."""
        self._version += 1
        obj = object_meta.make_versioned(outcome.obj, self._version)
        previous = self.read(key)
        kind = EventType.ADDED if previous is None else EventType.MODIFIED
        if outcome.effect is Effect.REMOVED:
            kind = EventType.DELETED
        change = Change(self._version, kind, key, orjson.dumps(obj), previous)
        self._overlay[key] = change.current
        self.changes.append(change)
        return obj


def decided(draft: Draft, write: Write) -> JsonObject | Exception:
    """Return the answer of a write, recording its change in the draft."""
    try:
        key, outcome = write.decide(draft)
        if write.dry_run or outcome.effect is Effect.UNCHANGED:
            return outcome.obj
        return draft.write(key, outcome)
    except Exception as error:  # noqa: BLE001 - it is the answer of this write, not of the group
        return error


def stored(draft: Draft, kind: Resource, key: Key) -> JsonObject:
    """Return the object as the draft has it; raise NotFound."""
    data = draft.read(key)
    if data is None:
        raise object_meta.not_found(kind, key.name)
    return decode(data)
