"""What is not followed, as it was read or written last: within a minute nothing is read twice.

ConfigMaps, ServiceAccounts and Secrets are mostly other people's, so the operator does not follow
them; a look at a service for which nothing has changed shall ask for none of them all the same.
What was read for another version of the service is read again: who changes it expects a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sampan.machinery.clock import Clock
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cache import owner_uid

EVERYBODY: JsonObject = {"metadata": {}}
"""Stands for the owner of what is read for no object by itself."""
KEPT_SECONDS = 60.0
"""A change by another hand is noticed by the first look after so long."""


@dataclass(frozen=True, slots=True)
class _Known:
    """`asked_for`: the version of the service for which it was read, "" for any."""

    obj: JsonObject
    since: float
    asked_for: str


class Reads(Protocol):
    """The part of a store that is asked."""

    async def get(self, key: Key) -> JsonObject:
        """Return the object; raise NotFound."""


class Remembered:
    """Reads objects by name, and keeps each for a while. What is not there is asked for again."""

    def __init__(self, store: Reads, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[Key, str], _Known] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._known)

    async def get(self, key: Key, owner: Mapping[str, Any]) -> JsonObject:
        """Return the object, not to be changed; raise NotFound. `owner` is what it is read for."""
        self._forget_old()
        metadata = owner["metadata"]
        place, version = (key, str(metadata.get("uid", ""))), metadata.get("resourceVersion", "")
        known = self._known.get(place)
        if known is not None and known.asked_for in ("", version):
            self._known[place] = replace(known, asked_for=version)
            return known.obj
        found = await self._store.get(key)
        self._put(place, found, version)
        return found

    def assume(self, key: Key, obj: JsonObject) -> None:
        """Take in the answer of a write, for the object's controller."""
        self._put((key, owner_uid(obj)), obj, "")

    def forget(self, key: Key) -> None:
        """Read an object anew when it is asked for: it is known to have changed, or to be gone."""
        for place in [p for p in self._known if p[0] == key]:
            del self._known[place]

    def _put(self, place: tuple[Key, str], obj: JsonObject, asked_for: str) -> None:
        self._known.pop(place, None)
        self._known[place] = _Known(obj, self._clock.now(), asked_for)

    def _forget_old(self) -> None:
        now = self._clock.now()  # somebody may set it back
        while self._known:
            oldest = next(iter(self._known))
            if now - KEPT_SECONDS <= self._known[oldest].since <= now:
                return
            del self._known[oldest]
