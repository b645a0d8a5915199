"""The shape that every platform has, so that one controller drives them all.

`render` and `diff` are pure. `apply` starts work and returns soon: what takes long (a download, an
environment, a process that loads) goes on in the background, shows in `observe`, and is announced
on `changes`, after which the controller reconciles again. Reconciling is level-driven: the
decision is made anew from what is observed, never from what was just done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sampan.plan.observed import Observed
from sampan.plan.types import Plan, ServiceKey

Desired = TypeVar("Desired")
Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class Difference(Generic[Step]):
    """What is to be done now, and when to look again though nothing changes (0: never)."""

    steps: tuple[Step, ...] = ()
    wake_at: float = 0.0


class Platform(Protocol[Desired, Step]):
    """A place where workloads run."""

    def render(self, plan: Plan) -> Desired:
        """Return what should exist here for the plan. Pure."""

    def warnings(self, plan: Plan) -> tuple[tuple[str, str], ...]:
        """Return `(path, sentence)` for each field of the plan not honoured here. Pure."""

    def diff(self, desired: Desired, observed: Observed, now: float) -> Difference[Step]:
        """Return the steps from observed to desired; none where they agree. Pure."""

    async def apply(self, service: ServiceKey, step: Step) -> None:
        """Take one step."""

    async def observe(self, service: ServiceKey) -> Observed:
        """Return what is there now for a service."""

    async def services(self) -> tuple[ServiceKey, ...]:
        """Return every service of which something exists here, for collecting the deleted."""

    def changes(self) -> AsyncIterator[ServiceKey]:
        """Yield a service whenever something observed of it changed."""
