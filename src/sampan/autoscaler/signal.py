"""From counters that are read now and then to one value for each second.

Knative Serving, metric collection: concurrency is the average over the second of the requests in
flight, a rate is the requests that came in it. A gateway tells how many are in flight now and how
many have come since its start; each reading holds for the time since the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LEAST_SECONDS = 0.001
"""A request that came and went between two readings was in flight at least this long: it must not
count as none, or a busy revision of a quick model would be taken for idle."""

LONGEST_GAP = 5.0
"""Seconds that one reading may stand for; what was before, nobody looked at."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests of one workload: in flight now, and all that ever came, which only grows."""

    active: int
    total: int


class Signal:
    """The measure of one workload, second by second, from readings at any time."""

    __slots__ = ("_at", "_metric", "_sum", "_total")

    def __init__(self, metric: str, now: float) -> None:
        self._metric = metric
        self._at = now
        self._sum = 0.0
        self._total: int | None = None

    def add(self, now: float, traffic: Traffic) -> Iterator[tuple[float, float]]:
        """Yield each second that is complete with this reading, as (its end, value).

        It counts from its end on, as one that is read at that moment.
        """
        came = self._arrivals(traffic.total)
        elapsed = now - self._at
        if elapsed <= 0 or elapsed > LONGEST_GAP:
            self._at, self._sum = now, 0.0
            return
        value = self._value(traffic.active, came, elapsed)
        while int(self._at) < int(now):
            end = int(self._at) + 1
            yield float(end), self._sum + value * (end - self._at)
            self._at, self._sum = float(end), 0.0
        self._sum += value * (now - self._at)
        self._at = now

    def _arrivals(self, total: int) -> int:
        """Return how many requests came since the last reading; none before the first one."""
        before = total if self._total is None else self._total
        self._total = max(before, total)
        return self._total - before

    def _value(self, active: int, came: int, elapsed: float) -> float:
        if self._metric == "rps":
            return came / elapsed
        return max(float(active), came * LEAST_SECONDS / elapsed)
