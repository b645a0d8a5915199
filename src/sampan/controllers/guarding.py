"""Watching over new revisions: one that fails, or is too slow, is taken back by itself.

One loop for all services, and none of it while no revision with limits shares traffic. What it
finds becomes a part of the next decision, which the status remembers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sampan.machinery.clock import Clock
from sampan.plan.revision import RolledBack, Rollout
from sampan.plan.rollback import Limits, Tally, judge, read_limits, select_recent
from sampan.plan.types import Component, Plan, ServiceKey

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class OutcomeSource(Protocol):
    """Who counts how requests end."""

    async def outcomes(self, workloads: Collection[str]) -> Mapping[str, Tally] | None:
        """Return what is counted of workloads, named `namespace/name`; None: cannot be told now."""


@dataclass(slots=True)
class _Watched:
    """A revision that shares traffic, and what was counted of it."""

    service: ServiceKey
    component: Component
    revision: str
    limits: Limits
    percent: int | None
    tallies: deque[Tally] = field(default_factory=lambda: deque(maxlen=4000))


class Guard:
    """The revisions that are watched; `run` drives it."""

    def __init__(
        self, source: OutcomeSource, clock: Clock, notify: Callable[[ServiceKey], None]
    ) -> None:
        self._source = source
        self._clock = clock
        self._notify = notify
        self._watched: dict[str, _Watched] = {}
        self._verdicts: dict[ServiceKey, dict[Component, RolledBack]] = {}
        self._wake = asyncio.Event()

    def verdicts(self, service: ServiceKey) -> Mapping[Component, RolledBack]:
        """Return what was found about a service's revisions."""
        return self._verdicts.get(service, {})

    def note(self, service: Mapping[str, Any], plan: Plan) -> None:
        """Take note of a plan: watch the revisions of it that have limits and share traffic."""
        if plan.blocked is not None:
            return
        limits = read_limits(service)
        wanted = {
            _key(plan, rollout): (rollout, limits)
            for rollout in plan.rollouts
            if limits.given and _is_tried(rollout)
        }
        for key in [k for k, w in self._watched.items() if w.service == plan.service]:
            if key not in wanted:
                del self._watched[key]
        for key, (rollout, _) in wanted.items():
            self._watch(key, plan, rollout, limits)
        if plan.service in self._verdicts:
            told = {r.component for r in plan.rollouts if r.failed is None}
            left = {c: v for c, v in self._verdicts[plan.service].items() if c not in told}
            self._verdicts[plan.service] = left
            if not left:
                del self._verdicts[plan.service]

    async def run(self) -> None:
        """Look and judge until cancelled."""
        while True:
            if not self._watched:
                self._wake.clear()
                await self._wake.wait()
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                log.exception("watching over new revisions goes on after an error")

    async def look(self) -> None:
        """Take one reading, and judge by it."""
        found = await self._source.outcomes(tuple(self._watched))
        if found is None:
            return
        now = self._clock.now()
        for key, watched in tuple(self._watched.items()):
            watched.tallies.append(found.get(key) or Tally(now, 0, 0))
            recent = select_recent(watched.tallies, watched.limits.window, now)
            verdict = judge(watched.revision, recent, watched.limits, watched.percent)
            if verdict is not None:
                del self._watched[key]
                self._verdicts.setdefault(watched.service, {})[watched.component] = verdict
                self._notify(watched.service)

    def _watch(self, key: str, plan: Plan, rollout: Rollout, limits: Limits) -> None:
        percent = next(
            w.canary_percent for w in plan.workloads if w.name == rollout.created.workload
        )
        known = self._watched.get(key)
        if known is None or (known.limits, known.percent) != (limits, percent):
            made = _Watched(plan.service, rollout.component, rollout.created.name, limits, percent)
            if known is not None:
                made.tallies = known.tallies
            self._watched[key] = made
            self._wake.set()


def _key(plan: Plan, rollout: Rollout) -> str:
    return f"{plan.service.namespace}/{rollout.created.workload}"


def _is_tried(rollout: Rollout) -> bool:
    """Tell whether the newest revision shares the traffic with another one."""
    return (
        rollout.failed is None
        and len(rollout.targets) > 1
        and (rollout.ready == rollout.created != rollout.rolled_out)
    )
