"""The decision: how many replicas the measured load asks for, and why.

Knative Serving, the KPA: the stable window decides, the panic window overrules it upwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sampan.autoscaler.settings import Settings

TICK = 2.0
"""Seconds between two decisions, and the width of a step of `scale-down-delay`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The averages of both windows, summed over the replicas, and how many of those are ready.

    `reachable`: traffic may come to the revision.
    """

    stable: float
    panic: float
    ready: int
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class Memory:
    """What one decision leaves to the next.

    `panicking_since`: the last moment above the threshold, None while calm. `panic_replicas`: the
    most that was asked for since. `recent`: what was asked for within `scale-down-delay`, as
    (step, replicas), replicas falling.
    """

    panicking_since: float | None = None
    panic_replicas: int = 0
    recent: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas, with the numbers that made it.

    `excess_burst` below 0: requests must be held back by the activator, else a burst is lost.
    """

    desired: int
    wanted_stable: int
    wanted_panic: int
    floor: int
    ceiling: int
    panicking: bool
    delayed: bool
    excess_burst: int


def start_memory(ready: int, now: float) -> Memory:
    """Return the memory of an autoscaler that has just started.

    With several replicas it starts in panic: their load is not known yet, and it must not shrink
    what another has found necessary.
    """
    return Memory(now, ready) if ready > 1 else Memory()


def decide(
    settings: Settings, reading: Reading, memory: Memory, now: float
) -> tuple[Decision, Memory]:
    """Return the decision at `now` (seconds), and what to hand to the next one."""
    ready = max(1, reading.ready)
    floor, ceiling = _reach(settings, ready, reachable=reading.reachable)
    raw_stable = math.ceil(reading.stable / settings.target)
    raw_panic = math.ceil(reading.panic / settings.target)
    wanted_stable, wanted_panic = (
        _activated(min(max(raw, floor), ceiling), raw, settings.activation)
        for raw in (raw_stable, raw_panic)
    )
    # The raw number against the ready replicas: a clamped one could never be over the threshold.
    over = raw_panic / ready >= settings.panic_threshold
    since = _panicking_since(memory.panicking_since, now, over=over, window=settings.stable_window)
    panicking = since is not None
    peak = max(wanted_stable, wanted_panic, memory.panic_replicas) if panicking else 0
    wanted = peak if panicking else wanted_stable
    desired, recent = _delayed(settings, reading, memory.recent, wanted, now)
    decision = Decision(
        desired=desired,
        wanted_stable=wanted_stable,
        wanted_panic=wanted_panic,
        floor=floor,
        ceiling=ceiling,
        panicking=panicking,
        delayed=desired > wanted,
        excess_burst=excess_burst(settings, reading),
    )
    return decision, Memory(since, peak, recent)


def _reach(settings: Settings, ready: int, *, reachable: bool) -> tuple[int, int]:
    """Return the least and the most that one decision may go to from `ready` replicas."""
    rates = settings.defaults
    floor = math.floor(ready / rates.max_scale_down_rate) if reachable else 0
    return floor, math.ceil(rates.max_scale_up_rate * ready)


def _activated(wanted: int, raw: int, activation: int) -> int:
    """Return the wanted number, or the least that a revision with any load has."""
    return activation if raw > 0 and wanted < activation else wanted


def _panicking_since(since: float | None, now: float, *, over: bool, window: float) -> float | None:
    if over:
        return now
    return None if since is not None and since + window < now else since


def _delayed(
    settings: Settings,
    reading: Reading,
    recent: tuple[tuple[int, int], ...],
    wanted: int,
    now: float,
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return the most that was wanted within `scale-down-delay`, and what to remember of it."""
    if settings.scale_down_delay <= 0 or not reading.reachable:
        return wanted, ()
    step = int(now // TICK)
    oldest = step - math.ceil(settings.scale_down_delay / TICK)
    kept = tuple(pair for pair in recent if pair[0] > oldest and pair[1] > wanted)
    kept = (*kept, (step, wanted))
    return kept[0][1], kept


def excess_burst(settings: Settings, reading: Reading) -> int:
    """Return how many requests beyond `target-burst-capacity` the ready replicas could take now.

    0 and -1 stand for themselves: hold back only at zero replicas, and always.
    """
    capacity = settings.burst_capacity
    if capacity in {0, -1}:
        return int(capacity)
    return math.floor(reading.ready * settings.total - capacity - reading.panic)
