"""The gateway's side of the local platform: what is published, and whether requests pass.

The route of a service is DONE only after a real request through Envoy passed, and stays so while
Envoy finds an endpoint of it healthy (asked each second) and the real request, repeated from time
to time, goes on passing.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left, insort
from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import chain
from operator import attrgetter
from typing import Protocol

from sampan.gateway.errors import GatewayError
from sampan.gateway.health import Health
from sampan.gateway.listener import Verdict
from sampan.gateway.table import Endpoint, RouteTable, TableRoute
from sampan.gateway.validation import Refusal
from sampan.machinery.clock import Clock
from sampan.plan.observed import Link, LinkState
from sampan.plan.types import ServiceKey
from sampan.platforms.local.diff import make_publication
from sampan.platforms.local.gateway_view import GatewayView, Watched
from sampan.platforms.local.held import HELD_LINK, select_held
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.route_record import RouteRecord, read_routes
from sampan.platforms.local.steps import Publish
from sampan.platforms.local.way_in import (
    WayIn,
    passes,
    select_changed,
    select_healthy,
    select_unhealthy,
)

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
VERIFY_AGAIN_SECONDS = 10.0
"""A route that passes is tried again this often; Envoy's own checks tell the rest."""
VERIFY_EACH_SECONDS = 0.2
"""Of many routes one is tried this often: else a thousand at rest would cost a tenth of a core."""
_TRIED_AT_ONCE = 32
"""Of routes that nobody has just changed: a thousand requests at once would all be late."""
_FRESH_AT_ONCE = 100
"""Of routes that were just changed: they wait for no other, unless there are very many of them."""
_YOUNG_SECONDS = 5.0
"""What changed this short ago is compared at each look, though the gateway tells nothing new."""
_RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
_STILL_SERVING = frozenset({"ConfigRejected", "ConfigNotTaken"})


class Door(Watched, Protocol):
    """What is needed of a gateway (`sampan.gateway.listener.Gateway`)."""

    async def apply(self, table: RouteTable) -> tuple[Refusal, ...]:
        """Serve the table; returns what was left out of it, once the rest is served."""

    async def verify(self, route: TableRoute, path: str, timeout_seconds: float = 5.0) -> Verdict:
        """Send a real request through the gateway to a route."""


_FIRST_CHECK_SECONDS = 1.5
"""Until then Envoy counts an endpoint that is new to it as unhealthy: interval plus timeout."""


_place = attrgetter("place")


class Publisher:
    """Keeps the gateway's table, of all services, and watches that requests pass."""

    def __init__(
        self, door: Door, layout: Layout, clock: Clock, notify: Callable[[ServiceKey], None]
    ) -> None:
        self._door = door
        self._layout = layout
        self._record = RouteRecord(layout)
        self._clock = clock
        self._notify = notify
        self._entries: dict[ServiceKey, WayIn] = {}
        self._ordered: list[WayIn] = []
        """The same in the order of the table: to sort a thousand for one is most of a change."""
        self._unrecorded: set[ServiceKey] = set()
        self._not_taken: dict[ServiceKey, GatewayError] = {}
        self._lock = asyncio.Lock()
        self._entered = self._served = 0
        self._left_out: tuple[Refusal, ...] = ()
        self._seen: Health | None = None
        self._trouble = ""
        """What the last look met that nobody foresaw."""
        self._view = GatewayView(door, clock)
        self._turns = asyncio.Semaphore(_TRIED_AT_ONCE)
        self._fresh_turns = asyncio.Semaphore(_FRESH_AT_ONCE)
        self._watcher: asyncio.Task[None] | None = None

    async def start(self, alive: Collection[Endpoint]) -> None:
        """Go on from what an earlier daemon published, less the endpoints that are not alive."""
        for service, (route, clusters) in read_routes(self._layout).items():
            living = tuple(
                replace(c, endpoints=tuple(e for e in c.endpoints if e in alive)) for c in clusters
            )
            self._enter(WayIn(service, route, living))
        if self._entries:
            await self._apply()
        for service in self._entries:
            self._verify(service, in_turn=True)
        self._watcher = asyncio.create_task(self._watch(), name="gateway watch")

    async def close(self) -> None:
        """Stop watching; what is published stays."""
        tasks = [self._watcher, *(entry.verifying for entry in self._entries.values())]
        waiting = [task for task in tasks if task is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, *self._view.close(), return_exceptions=True)

    def services(self) -> Collection[ServiceKey]:
        """Return every service that something is published for."""
        return tuple({**self._entries, **self._not_taken})

    def published(self, service: ServiceKey) -> str:
        """Return what is published for a service, as `diff.make_publication` names it."""
        if service in self._not_taken:
            return "not taken"  # equals nothing that could be wanted, so it is published again
        entry = self._entries.get(service)
        return make_publication(entry.route, entry.clusters) if entry else ""

    def is_taken(self, service: ServiceKey) -> bool:
        """Tell whether the gateway serves what it was last given for a service."""
        return service not in self._not_taken

    def is_routed(self, service: ServiceKey, address: str) -> bool:
        """Tell whether the gateway has an address among a service's endpoints, and healthy."""
        entry = self._entries.get(service)
        host, _, port = address.rpartition(":")
        return bool(entry and port and Endpoint(host, int(port)) in entry.healthy)

    def may_still_send(self, service: ServiceKey) -> bool:
        """Tell whether the gateway runs but refuses to forget endpoints that it was told to."""
        error = self._not_taken.get(service)
        return error is not None and error.reason in _STILL_SERVING

    def held(self, service: ServiceKey) -> frozenset[str]:
        """Return the workloads of a service whose requests the gateway keeps at the activator."""
        entry = self._entries.get(service)
        return select_held(entry.route) if entry and service not in self._not_taken else frozenset()

    def link(self, service: ServiceKey) -> Link:
        """Return the state of a service's way in."""
        entry = self._entries.get(service)
        return entry.link if entry else Link()

    async def publish(self, service: ServiceKey, step: Publish) -> None:
        """Give the gateway a service's route and endpoints; returns when Envoy has taken them.

        Where it does not take them, the way in says why and the service is announced again.
        """
        entry = self._entries.get(service)
        if step.keep_route:
            if entry is None:
                return
            fresh = {c.name: c.endpoints for c in step.clusters}
            clusters = tuple(
                replace(c, endpoints=fresh.get(c.name, c.endpoints)) for c in entry.clusters
            )
            step = Publish(entry.route, clusters)
        if step.route is None:
            self._leave(service)
        elif entry is None:
            self._enter(WayIn(service, step.route, step.clusters))
        else:
            entry.route, entry.clusters = step.route, step.clusters
            self._unrecorded.add(service)
        try:
            refusals = await self._apply()
        except GatewayError as error:
            self._seen = None
            self._not_taken[service] = error
            entry = self._entries.get(service)
            if entry is not None:
                self._set(service, entry, LinkState.FAILED, error.reason, error.message)
            return
        self._not_taken.pop(service, None)
        self._note(service, refusals)

    def _note(self, service: ServiceKey, refusals: tuple[Refusal, ...]) -> None:
        entry = self._entries.get(service)
        if entry is None or entry.route is None:
            return
        mine = {entry.route.name, *(c.name for c in entry.clusters)}
        refused = next((r for r in refusals if r.name in mine), None)
        entry.healthy &= entry.endpoints()
        entry.changed_at = self._clock.now()
        if refused is not None:
            self._set(service, entry, LinkState.FAILED, "RouteRefused", refused.message)
            return
        was_held, entry.held = entry.held, bool(select_held(entry.route))
        if entry.held:
            entry.link = HELD_LINK  # asking would wake it
            return
        if was_held:  # it goes on as it was until a request has told otherwise
            entry.link = Link(LinkState.DONE, since=self._clock.now())
            self._verify(service)
            return
        entry.verified &= entry.endpoints()
        if not entry.healthy and not entry.verified:  # all are new: nothing is known of them
            self._set(service, entry, LinkState.WAITING, "NotVerified", "no request has passed yet")
        self._verify(service)

    def _enter(self, entry: WayIn) -> None:
        self._entries[entry.service] = entry
        insort(self._ordered, entry, key=_place)
        self._unrecorded.add(entry.service)

    def _leave(self, service: ServiceKey) -> None:
        gone = self._entries.pop(service, None)
        if gone is not None:
            del self._ordered[bisect_left(self._ordered, gone.place, key=_place)]
            self._unrecorded.add(service)

    async def _apply(self) -> tuple[Refusal, ...]:
        # Whoever waits for the lock takes all that was entered meanwhile along, and who finds that
        # another has taken its own along is done: of a thousand at once few make a table.
        self._entered += 1
        mine = self._entered
        async with self._lock:
            if self._served >= mine:
                return self._left_out
            covered = self._entered
            entries = self._ordered
            table = RouteTable(
                tuple([e.route for e in entries if e.route]),
                tuple(chain.from_iterable([e.clusters for e in entries])),
            )
            self._write_record()
            self._left_out = await self._door.apply(table)
            self._served = covered
            return self._left_out

    def _write_record(self) -> None:
        unrecorded, self._unrecorded = self._unrecorded, set()
        entries = {service: self._entries.get(service) for service in unrecorded}
        changed = {s: (e.route, e.clusters) if e else None for s, e in entries.items()}
        self._record.write(
            changed, lambda: {e.service: (e.route, e.clusters) for e in self._ordered}
        )

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(WATCH_SECONDS)
            await self._look_on()
            if not self._lock.locked():
                for service in self._not_taken:
                    self._notify(service)

    async def _look_on(self) -> None:
        """Look; what nobody foresaw is told once for as long as it stays the same."""
        try:
            if self._entries:
                await self._look()
        except Exception as error:
            if repr(error) != self._trouble:
                log.exception("watching over the gateway goes on after an error")
            self._trouble = repr(error)
        else:
            self._trouble = ""

    async def _look(self) -> None:
        """Compare the gateway's view with ours, once."""
        try:
            health = await self._view.look()
        except GatewayError as error:
            self._fail_all(error.reason, error.message)
            return
        now = self._clock.now()
        again = max(VERIFY_AGAIN_SECONDS, VERIFY_EACH_SECONDS * len(self._entries))
        changed: frozenset[str] = frozenset()
        if health is not None:
            changed, self._seen = select_changed(self._seen or {}, health), health
        for service, entry in self._entries.items():
            news = changed and not changed.isdisjoint(c.name for c in entry.clusters)
            if health is not None and (news or now - entry.changed_at < _YOUNG_SECONDS):
                self._take_health(service, entry, health)
            passing = entry.link.state is LinkState.DONE and now - entry.verified_at <= again
            if not passing and entry.endpoints():
                self._verify(service, in_turn=True)

    def _fail_all(self, reason: str, message: str) -> None:
        self._seen = None
        for service, entry in self._entries.items():
            entry.healthy = entry.verified = frozenset()
            self._set(service, entry, LinkState.FAILED, reason, message)

    def _take_health(self, service: ServiceKey, entry: WayIn, health: Health) -> None:
        found, known = select_healthy(entry.clusters, health), bool(entry.healthy)
        if found != entry.healthy:
            entry.healthy = found
            self._notify(service)
        if select_held(entry.route):
            return  # who asks now waits at the activator, for which no endpoint is the best of news
        if not known and self._clock.now() - entry.link.since < _FIRST_CHECK_SECONDS:
            return  # a request has just passed, and the gateway's own check has yet to
        unhealthy = select_unhealthy(entry.clusters, health)
        if unhealthy and entry.link.state is LinkState.DONE:
            entry.verified = frozenset()
            self._set(
                service, entry, LinkState.FAILED, "EndpointsUnhealthy",
                "no replica answers the gateway's health check; read the log of the service",
            )  # fmt: skip

    def _verify(self, service: ServiceKey, *, in_turn: bool = False) -> None:
        entry = self._entries[service]
        if entry.verifying is None or entry.verifying.done():
            trying = self._try_in_turn(service, self._turns if in_turn else self._fresh_turns)
            entry.verifying = asyncio.create_task(trying, name=f"verify {service.name}")

    async def _try_in_turn(self, service: ServiceKey, turns: asyncio.Semaphore) -> None:
        async with turns:
            await self._try(service)

    async def _try(self, service: ServiceKey) -> None:
        """Send a request through the gateway until one passes, at most a few times."""
        for delay in _RETRY_SECONDS:
            entry = self._entries.get(service)
            front = [c for c in entry.front() if c.endpoints] if entry else []
            if entry is None or entry.route is None or not front:
                return
            if select_held(entry.route):
                return
            asked = entry.endpoints()
            path = front[0].health_path
            verdict = await self._door.verify(entry.route, path or "/")
            if self._entries.get(service) is not entry or select_held(entry.route):
                return  # what was true of a way in that is held now says nothing of it
            entry.verified_at = self._clock.now()
            if asked & entry.endpoints():  # else the answer is about endpoints that are gone
                self._judge(service, entry, verdict, path)
                if entry.link.state is LinkState.DONE:
                    return
            await self._clock.sleep(delay)

    def _judge(self, service: ServiceKey, entry: WayIn, verdict: Verdict, path: str) -> None:
        if passes(verdict, path):
            if entry.link.reason == "EndpointsUnhealthy" and not entry.healthy:
                return  # one request passed slowly; the gateway's own check has the last word
            entry.verified = entry.endpoints()
            self._set(service, entry, LinkState.DONE, "", "")
            return
        entry.verified = frozenset()
        self._set(
            service, entry, LinkState.FAILED, "RequestNotPassed",
            f'GET "{path or "/"}" through the gateway got '
            f"{verdict.status or 'no answer'}: {verdict.message}",
        )  # fmt: skip

    def _set(
        self, service: ServiceKey, entry: WayIn, state: LinkState, reason: str, message: str
    ) -> None:
        link = entry.link
        if (link.state, link.reason, link.message) == (state, reason, message):
            return
        entry.changed_at = self._clock.now()
        since = link.since if link.state is state else entry.changed_at
        entry.link = Link(state, reason, message, since)
        self._notify(service)
