"""Between which numbers a decision may move a revision.

Knative Serving, from decision to replicas; the cap by what the machine holds is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.autoscaler.settings import Settings


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a revision stands: whether traffic may reach it, whether it once was at its start
    size, and how many replicas the machine can hold (None: not known to be short).
    """

    reachable: bool = True
    initialised: bool = True
    room: int | None = None


@dataclass(frozen=True, slots=True)
class Bounded:
    """The number of replicas to run, and by what the decision was changed: "" or a bound's name."""

    replicas: int
    by: str = ""


def bound(settings: Settings, desired: int, standing: Standing) -> Bounded:
    """Return the decision within the bounds.

    A revision that no traffic reaches has no lower bound. Zero becomes one where scaling to zero is
    off. A machine that is full caps at what it holds, and says so rather than swap.
    """
    low = minimum(settings, standing)
    if desired < low:
        start = low == settings.initial and low > settings.minimum
        return Bounded(low, "initial-scale" if start else "min-scale")
    if settings.maximum and desired > settings.maximum:
        return Bounded(settings.maximum, "max-scale")
    if standing.room is not None and desired > standing.room:
        return Bounded(max(low, standing.room), "the machine's room")
    if desired == 0 and not settings.defaults.enable_scale_to_zero:
        return Bounded(1, "enable-scale-to-zero")
    return Bounded(desired)


def minimum(settings: Settings, standing: Standing) -> int:
    """Return the lower bound of a revision."""
    if not standing.reachable:
        return 0
    if settings.initial > 1 and not standing.initialised:
        return max(settings.minimum, settings.initial)
    return settings.minimum


def ready_minimum(settings: Settings, *, initialised: bool) -> int:
    """Return how many replicas must be ready before a revision is called active."""
    return max(settings.minimum, 1 if initialised else settings.initial)
