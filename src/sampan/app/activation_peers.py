"""Several activators of a cluster: each tells the others what it sees, and one decides for all.

Who decides must know the requests of all, and that all of them hold a workload before its last
replica goes; the others must know what to hold. Each asks each by `/activity`, once a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sampan.autoscaler.signal import Traffic
from sampan.gateway.ask import Address, ask
from sampan.gateway.table import Endpoint
from sampan.machinery.clock import Clock
from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.serverless_slices import Whereabouts

log = logging.getLogger(__name__)

PATH = "/activity"
SECONDS = 1.0
_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Activity:
    """What an activator sees, by workload. `held` are those whose requests its Envoy keeps,
    `to_hold` those that shall be, if it is the one who decides (`leading`).
    """

    identity: str
    leading: bool = False
    traffic: Mapping[str, Traffic] | None = None
    waiting: Mapping[str, int] | None = None
    held: frozenset[str] = frozenset()
    to_hold: frozenset[str] = frozenset()

    def encode(self) -> bytes:
        """Return it as the others read it."""
        told: JsonObject = {
            "identity": self.identity,
            "leading": self.leading,
            "traffic": {k: [t.active, t.total] for k, t in (self.traffic or {}).items()},
            "waiting": dict(self.waiting or {}),
            "held": sorted(self.held),
            "toHold": sorted(self.to_hold),
        }
        return orjson.dumps(told)


def decode_activity(body: bytes) -> Activity:
    """Return what an activator told; raise ValueError for what none tells."""
    try:
        told: dict[str, Any] = orjson.loads(body)
        return Activity(
            str(told["identity"]),
            bool(told["leading"]),
            {str(k): Traffic(int(a), int(t)) for k, (a, t) in told["traffic"].items()},
            {str(k): int(n) for k, n in told["waiting"].items()},
            frozenset(map(str, told["held"])),
            frozenset(map(str, told["toHold"])),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no activity of an activator: {error!r}") from error


class Peers:
    """The other activators, as they last told. `where` gives the addresses of all.

    One that has told something is asked as long as it is there, also while it does not serve: its
    Envoy may go on without it.
    """

    def __init__(self, clock: Clock, identity: str, where: Callable[[], Whereabouts]) -> None:
        self._clock = clock
        self._identity = identity
        self._where = where
        self._told: dict[Endpoint, Activity] = {}
        self._silent: set[Endpoint] = set()
        self._asked: frozenset[Endpoint] = frozenset()
        self.changed: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Ask each for ever."""
        while True:
            before = self.to_hold()
            addresses = self._select()
            await asyncio.gather(*map(self._ask, addresses))
            self._told = {k: v for k, v in self._told.items() if k in addresses}
            self._silent &= addresses
            self._asked = addresses
            if self.to_hold() != before:
                self.changed()
            await self._clock.sleep(SECONDS)

    def _select(self) -> frozenset[Endpoint]:
        where = self._where()
        return where.serving | (where.others & self._told.keys())

    async def _ask(self, at: Endpoint) -> None:
        try:
            answer = await ask(Address(host=at.host, port=at.port), PATH, "activator", _TIMEOUT)
            self._told[at] = decode_activity(bytes(answer.body))
            self._silent.discard(at)
        except (OSError, TimeoutError, ValueError) as error:
            if at not in self._silent:
                log.warning("the activator at %s:%s does not answer: %s", at.host, at.port, error)
            self._silent.add(at)

    def _others(self) -> list[Activity]:
        return [told for told in self._told.values() if told.identity != self._identity]

    def complete(self) -> bool:
        """Tell whether each that serves now has been asked: whoever has just started knows of
        nobody, which is not the same as that nobody asks.
        """
        return self._where().serving <= self._asked

    def silent(self) -> int:
        """Return how many do not answer."""
        return len(self._silent)

    def traffic(self, own: Mapping[str, Traffic]) -> Mapping[str, Traffic]:
        """Return the requests of all activators, by workload."""
        found = dict(own)
        for other in self._others():
            for key, told in (other.traffic or {}).items():
                before = found.get(key, Traffic(0, 0))
                found[key] = Traffic(before.active + told.active, before.total + told.total)
        return found

    def waiting(self, workload: str) -> int:
        """Return how many requests wait elsewhere."""
        return sum((other.waiting or {}).get(workload, 0) for other in self._others())

    def hold(self, workload: str) -> bool:
        """Tell whether every other activator is known to hold a workload's requests.

        One that does not answer might pass them on.
        """
        known = self.complete() and not self._silent
        return known and all(workload in other.held for other in self._others())

    def to_hold(self) -> frozenset[str]:
        """Return what the one who decides wants held."""
        return frozenset().union(*(o.to_hold for o in self._others() if o.leading))
