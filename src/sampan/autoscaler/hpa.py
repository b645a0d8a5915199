"""Scaling by what replicas use: CPU, memory, or any measure with a target.

Kubernetes, HorizontalPodAutoscaler: the ratio of use to target times the replicas, a tolerance
around it, the highest of several measures, a window that steadies it, policies that slow it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

TOLERANCE = 0.1
"""A ratio this near to 1 changes nothing."""

PERIOD = 15.0
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: the average over the ready replicas and its target, in the same unit."""

    name: str
    value: float
    target: float


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """At most so many `Pods`, or `Percent` of the replicas, within `period` seconds."""

    type: Literal["Pods", "Percent"]
    value: int
    period: float


@dataclass(frozen=True, slots=True)
class Direction:
    """How one direction is steadied and slowed; no policies: not slowed; `select` Disabled: never.

    `window` is in seconds: going up takes the least that was recommended in it, down the most.
    """

    window: float
    policies: tuple[RatePolicy, ...]
    select: Literal["Max", "Min", "Disabled"] = "Max"
    tolerance: float = TOLERANCE


UP = Direction(0, (RatePolicy("Percent", 100, 15), RatePolicy("Pods", 4, 15)))
DOWN = Direction(300, (RatePolicy("Percent", 100, 15),))
"""Kubernetes's defaults: up doubles or adds four each 15 s, down waits for five minutes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The bounds and the behaviour of one autoscaler."""

    minimum: int = 1
    maximum: int = 1
    up: Direction = UP
    down: Direction = DOWN


@dataclass(frozen=True, slots=True)
class Past:
    """What was recommended and done lately: (when, replicas) each, the oldest first."""

    recommended: tuple[tuple[float, int], ...] = ()
    changed: tuple[tuple[float, int], ...] = ()
    """(when, how many replicas were added; negative: taken away)."""


@dataclass(frozen=True, slots=True)
class Advice:
    """How many replicas, by which measure, and what held the number back ("" where nothing)."""

    replicas: int
    measure: str
    ratio: float
    limited_by: str
    past: Past = field(default_factory=Past)


def advise(
    rules: Rules, measures: Sequence[Measure], current: int, past: Past, now: float
) -> Advice:
    """Return how many replicas the measures ask for; with no measure, the number stays."""
    if not measures or current == 0:
        return Advice(current, "", 1.0, "no reading" if current else "stopped", past)
    asked = [(recommend(measure, current, rules), measure) for measure in measures]
    raw, measure = max(asked, key=lambda pair: pair[0])
    # The first look recommends what is there, or a restart of ours would end replicas at once.
    kept = _within(
        past.recommended or ((now, current),), now, max(rules.up.window, rules.down.window)
    )
    kept = (*kept, (now, raw))
    steady = _steadied(rules, kept, current, raw, now)
    slowed = _slowed(rules, steady, current, past.changed, now)
    bounded = min(max(slowed, rules.minimum), rules.maximum)
    changed = _within(past.changed, now, _longest(rules))
    if bounded != current:
        changed = (*changed, (now, bounded - current))
    return Advice(
        replicas=bounded,
        measure=measure.name,
        ratio=measure.value / measure.target,
        limited_by=_limit(raw, steady, slowed, bounded),
        past=Past(kept, changed),
    )


def recommend(measure: Measure, current: int, rules: Rules) -> int:
    """Return how many replicas bring one measure to its target."""
    ratio = measure.value / measure.target
    if 1 - rules.down.tolerance <= ratio <= 1 + rules.up.tolerance:
        return current
    return math.ceil(round(ratio * current, 6))


def _within(
    entries: tuple[tuple[float, int], ...], now: float, seconds: float
) -> tuple[tuple[float, int], ...]:
    return tuple(entry for entry in entries if entry[0] > now - seconds)


def _longest(rules: Rules) -> float:
    periods = [p.period for direction in (rules.up, rules.down) for p in direction.policies]
    return max(periods, default=0.0)


def _steadied(
    rules: Rules, kept: tuple[tuple[float, int], ...], current: int, raw: int, now: float
) -> int:
    least = min((n for _, n in _within(kept, now, rules.up.window)), default=raw)
    most = max((n for _, n in _within(kept, now, rules.down.window)), default=raw)
    return min(max(current, least), most) if current < least or current > most else current


def _slowed(
    rules: Rules, wanted: int, current: int, changed: tuple[tuple[float, int], ...], now: float
) -> int:
    if wanted > current:
        bounds = [_ceiling(p, current, changed, now) for p in rules.up.policies]
        return current if rules.up.select == "Disabled" else min(wanted, _pick(rules.up, bounds))
    if wanted < current:
        taken = [current - _floor(p, current, changed, now) for p in rules.down.policies]
        if rules.down.select == "Disabled":
            return current
        return max(wanted, current - _pick(rules.down, taken))
    return wanted


def _pick(direction: Direction, bounds: Sequence[int]) -> int:
    """Return the bound that counts: the most permissive unless told "Min"."""
    unbounded = 2**31
    if direction.select == "Min":
        return min(bounds, default=unbounded)
    return max(bounds, default=unbounded)


def _ceiling(
    policy: RatePolicy, current: int, changed: tuple[tuple[float, int], ...], now: float
) -> int:
    start = current - sum(n for _, n in _within(changed, now, policy.period) if n > 0)
    if policy.type == "Pods":
        return start + policy.value
    return math.ceil(start * (100 + policy.value) / 100)


def _floor(
    policy: RatePolicy, current: int, changed: tuple[tuple[float, int], ...], now: float
) -> int:
    start = current - sum(n for _, n in _within(changed, now, policy.period) if n < 0)
    if policy.type == "Pods":
        return start - policy.value
    return math.floor(start * (100 - policy.value) / 100)


def _limit(raw: int, steady: int, slowed: int, bounded: int) -> str:
    if bounded != slowed:
        return "minReplicas" if bounded > slowed else "maxReplicas"
    if slowed != steady:
        return "a rate policy"
    return "the stabilization window" if steady != raw else ""
