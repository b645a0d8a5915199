"""Recording `v1` Events, as client-go does: the same event again only counts.

Four things keep a noisy object from flooding the store: an event that is already there has its
`count` raised; many different messages of one reason are combined; a bucket an object limits the
rest; and events go an hour after they were last seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from sampan.machinery.clock import Clock
from sampan.machinery.errors import AlreadyExists, ApiError, Expired, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, ListOptions, Store
from sampan.machinery.timestamps import rfc3339, seconds

log = logging.getLogger(__name__)

EVENTS = "events"
TTL = 3600.0
"""Seconds that an event is kept after it was last seen: kube-apiserver's `--event-ttl`."""
_SWEPT_AT_ONCE = 200
"""Events that are read for a sweep before others have their turn."""

_NAME_TRIES = 100
"""How many names are tried, a nanosecond apart: as many events of one object in one moment."""

COMBINED = "(combined from similar events): "
LONGEST_MESSAGE = 1024
"""Characters of a message; the API takes no more."""


class Occurrence(Protocol):
    """What happened: `type` is `Normal` or `Warning`, `reason` CamelCase, `message` for people."""

    @property
    def type(self) -> str:
        """`Normal` or `Warning`."""

    @property
    def reason(self) -> str:
        """Why, as one CamelCase word."""

    @property
    def message(self) -> str:
        """What happened, for people."""


@dataclass(frozen=True, slots=True)
class EventLimits:
    """client-go's: `burst` events an object, then one each `refill` seconds.

    From the `similar`th message of one reason within `window` seconds on, they are combined.
    `remembered` objects and events are known; older ones are forgotten first.
    """

    burst: int = 25
    refill: float = 300.0
    similar: int = 10
    window: float = 600.0
    remembered: int = 4096


DEFAULT_LIMITS = EventLimits()

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class _Recent(Generic[_K, _V]):
    """A mapping that forgets what was used longest ago."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: OrderedDict[_K, _V] = OrderedDict()

    def get(self, key: _K, default: _V) -> _V:
        return self._items.get(key, default)

    def put(self, key: _K, value: _V) -> None:
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > self._size:
            self._items.popitem(last=False)


class EventRecorder:
    """Records events about objects in the name of one component (`sampan-controller`)."""

    def __init__(
        self, store: Store, clock: Clock, component: str, limits: EventLimits = DEFAULT_LIMITS
    ) -> None:
        self._store = store
        self._clock = clock
        self._component = component
        self._limits = limits
        self._free_at: _Recent[tuple[str, ...], float] = _Recent(limits.remembered)
        self._similar: _Recent[tuple[str, ...], tuple[float, frozenset[str]]] = _Recent(
            limits.remembered
        )
        self._names: _Recent[tuple[str, ...], str] = _Recent(limits.remembered)
        self._last_nano = 0

    async def record(self, obj: Mapping[str, Any], occurrence: Occurrence) -> None:
        """Record that something happened to an object.

        Never raises for what the store says: an event is not worth a reconcile. Such errors, and
        events over the limit, are logged.
        """
        involved = _involved(obj)
        now = self._clock.now()
        if not self._admits(involved, now):
            log.debug("too many events for %s, left out: %s", involved, occurrence.message)
            return
        message, series = self._combined(involved, occurrence, now)
        event = self._make(involved, occurrence, message, now)
        what = (*_identity(involved), occurrence.type, occurrence.reason, series)
        try:
            await self._write(what, event, now)
        except ApiError as error:
            log.warning("event %s of %s is not recorded: %s", occurrence.reason, involved, error)

    async def sweep(self) -> int:
        """Delete the events last seen over an hour ago; return how many. Call it each minute."""
        return await apply_sweep(self._store, self._clock.now())

    async def _write(self, series: tuple[str, ...], event: JsonObject, now: float) -> None:
        """Count a series on, or begin it under a name that nobody has."""
        name = self._names.get(series, "")
        if name:
            self._names.put(series, name)
            event["metadata"]["name"] = name
            await self._write_again(Key(EVENTS, event["metadata"]["namespace"], name), event)
            return
        for _ in range(_NAME_TRIES):
            name = self._make_name(series[3], now)
            event["metadata"]["name"] = name
            self._names.put(series, name)  # before anybody else may begin the same series
            try:
                await self._store.create(EVENTS, event)
            except AlreadyExists:  # made in the same moment, by another or before a restart
                continue
            return
        raise AlreadyExists(f'event names up to "{name}" are taken; wait a moment')

    async def _write_again(self, key: Key, event: JsonObject) -> None:
        try:
            known = await self._store.get(key)
        except NotFound:
            await self._store.create(EVENTS, event)
            return
        again = {
            "count": known.get("count", 1) + 1,
            "lastTimestamp": event["lastTimestamp"],
            "message": event["message"],
            "involvedObject": event["involvedObject"],
        }
        del known["metadata"]["resourceVersion"]
        await self._store.update(EVENTS, {**known, **again})

    def _make(
        self, involved: JsonObject, occurrence: Occurrence, message: str, now: float
    ) -> JsonObject:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": involved.get("namespace") or "default"},
            "involvedObject": involved,
            "type": occurrence.type,
            "reason": occurrence.reason,
            "message": message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
            "firstTimestamp": rfc3339(now),
            "lastTimestamp": rfc3339(now),
            "count": 1,
        }

    def _make_name(self, about: str, now: float) -> str:
        """Return a name for events about an object: `{object}.{time in hex}`, so that they sort.

        No two are the same, though the clock stands still or is set back.
        """
        self._last_nano = max(self._last_nano + 1, int(now * 1e9))
        # 253 characters is the longest name; the time and its dot take 17.
        return f"{about[:236]}.{self._last_nano:x}"

    def _admits(self, involved: JsonObject, now: float) -> bool:
        """Take a place in the object's bucket, if there is one."""
        key = _identity(involved)
        each = self._limits.refill
        free_at = max(self._free_at.get(key, 0.0), now - each * self._limits.burst) + each
        if free_at > now:
            return False
        self._free_at.put(key, free_at)
        return True

    def _combined(
        self, involved: JsonObject, occurrence: Occurrence, now: float
    ) -> tuple[str, str]:
        """Return the message, and what tells this series of events from others."""
        key = (*_identity(involved), occurrence.type, occurrence.reason)
        since, messages = self._similar.get(key, (now, frozenset()))
        if now - since > self._limits.window:
            since, messages = now, frozenset()
        message = _shortened(occurrence.message)
        if message not in messages and len(messages) >= self._limits.similar:
            return _shortened(COMBINED + message), COMBINED
        self._similar.put(key, (since, messages | {message}))
        return message, message


async def apply_sweep(store: Store, now: float, ttl: float = TTL) -> int:
    """Delete the events last seen more than `ttl` seconds before `now`; return how many.

    Some at a time, so that whoever asks the server meanwhile is not kept waiting for thousands.
    """
    gone, options = 0, ListOptions(limit=_SWEPT_AT_ONCE)
    while True:
        try:
            page = await store.list(EVENTS, options=options)
        except Expired:
            return gone  # so much was written meanwhile; the rest is looked at the next time
        for event in page.items:
            if now - _last_seen(event) > ttl:
                gone += await _delete(store, event)
        if not page.continue_token:
            return gone
        options = replace(options, continue_token=page.continue_token)
        await asyncio.sleep(0)


async def _delete(store: Store, event: JsonObject) -> bool:
    """Delete an event; return whether it was there."""
    metadata = event["metadata"]
    try:
        await store.delete(Key(EVENTS, metadata["namespace"], metadata["name"]))
    except NotFound:
        return False
    return True


def _last_seen(event: Mapping[str, Any]) -> float:
    """Return when an event was last seen; events of others may lack or garble the usual field."""
    series = event.get("series") or {}
    for text in (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"]["creationTimestamp"],
    ):
        try:
            return seconds(str(text))
        except ValueError:
            continue
    return 0.0


def _involved(obj: Mapping[str, Any]) -> JsonObject:
    metadata = obj["metadata"]
    fields = {
        "kind": obj.get("kind"),
        "namespace": metadata.get("namespace"),
        "name": metadata.get("name"),
        "uid": metadata.get("uid"),
        "apiVersion": obj.get("apiVersion"),
        "resourceVersion": metadata.get("resourceVersion"),
    }
    return {name: value for name, value in fields.items() if value}


def _identity(involved: Mapping[str, Any]) -> tuple[str, ...]:
    names = ("apiVersion", "kind", "namespace", "name", "uid")
    return tuple(str(involved.get(name, "")) for name in names)


def _shortened(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 3] + "..."
