"""Averages over the last seconds of a measure that is written once a second.

Knative Serving, metric aggregation: a ring of one-second buckets; values of one second add up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

Algorithm = Literal["linear", "weighted-exponential"]

DECIMALS = 6
"""A linear average is rounded to this many: a sum of floats must not ask for one replica more."""

NEVER = -(2**40)
"""A second so long ago that no window reaches back to it."""

LEAST_WEIGHT, UNWEIGHED_REST = 0.2, 0.0001
"""The newest bucket weighs at least a fifth; all buckets of a window together 99.99 %."""


class Window:
    """The last `seconds` buckets of one measure.

    A second without a value counts as 0 between two values, and not at all after the last one:
    what is not yet known lowers no average. After a gap as long as the window, all is forgotten,
    so that a woken revision is averaged over its new age.
    """

    __slots__ = ("_average", "_buckets", "_first", "_last", "_weight")

    def __init__(self, seconds: int, algorithm: Algorithm = "linear") -> None:
        self._buckets = [0.0] * seconds
        self._first = self._last = NEVER
        self._weight = smoothing_weight(seconds)
        averages: dict[Algorithm, Callable[[int], float]] = {
            "linear": self._linear,
            "weighted-exponential": self._weighted,
        }
        self._average = averages[algorithm]

    def record(self, now: float, value: float) -> None:
        """Add a value to the second of `now`; one that is older than the window is ignored."""
        second, size = int(now), len(self._buckets)
        if second <= self._last - size:
            return
        if second > self._last:
            self._advance(second)
        self._first = min(self._first, second)
        self._buckets[second % size] += value

    def _advance(self, second: int) -> None:
        size = len(self._buckets)
        if second - self._last >= size:
            self._buckets = [0.0] * size
            self._first = second
        else:
            for passed in range(self._last + 1, second + 1):
                self._buckets[passed % size] = 0.0
        self._last = second

    def average(self, now: float) -> float:
        """Return the average at `now`; 0 where nothing was written for the whole window."""
        second = int(now)
        return 0.0 if self.is_empty(now) else self._average(second)

    def is_empty(self, now: float) -> bool:
        """Tell whether no value is as young as the window."""
        return int(now) - self._last >= len(self._buckets)

    def _linear(self, second: int) -> float:
        size, missing = len(self._buckets), max(0, second - self._last)
        gone = [self._buckets[s % size] for s in range(self._last + 1, self._last + 1 + missing)]
        known = min(self._last - self._first + 1, size - missing)
        return round((math.fsum(self._buckets) - math.fsum(gone)) / known, DECIMALS)

    def _weighted(self, second: int) -> float:
        size, missing = len(self._buckets), max(0, second - self._last)
        weight = self._weight * (1 - self._weight) ** missing
        total = 0.0
        for age in range(size - missing):
            total += self._buckets[(self._last - age) % size] * weight
            weight *= 1 - self._weight
        return total


def smoothing_weight(buckets: int) -> float:
    """Return the weight of the newest of so many buckets; each older one weighs (1 - it) less."""
    return max(1 - math.pow(UNWEIGHED_REST, 1 / buckets), LEAST_WEIGHT)


def panic_seconds(stable: float, percentage: float) -> int:
    """Return the length of the panic window: a share of the stable one, at least a second."""
    return max(1, round(stable * percentage / 100))
