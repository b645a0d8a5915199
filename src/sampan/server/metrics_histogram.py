"""A histogram: fixed buckets, plain integers."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
                   10.0, 30.0, 60.0)  # fmt: skip
"""From half a millisecond, where small models end, to a minute."""
SIZE_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
LOAD_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Histogram:
    """Observations of one thing. `counts` are a bucket's own, not cumulative; true after `fold`."""

    BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
    """prometheus_client's default, and so KServe's."""

    __slots__ = ("_fresh", "buckets", "counts", "created", "observe", "observe_all", "sum")

    def __init__(self, buckets: tuple[float, ...] = BUCKETS) -> None:
        self.buckets = buckets
        self.counts = [0] * (len(buckets) + 1)
        self.sum = 0.0
        self.created = time.time()
        self._fresh: list[float] = []
        self.observe: Callable[[float], None] = self._fresh.append
        """Count one. A list takes it, for that is the least that a request can pay."""
        self.observe_all: Callable[[Iterable[float]], None] = self._fresh.extend
        """Count several."""

    @property
    def waiting(self) -> int:
        """How many observations are not folded yet."""
        return len(self._fresh)

    def fold(self) -> None:
        """Sort what was observed since the last time into the buckets.

        Sorting beats a search for each: much of it is equal, or in order already.
        """
        fresh = self._fresh
        if not fresh:
            return
        self.sum += sum(fresh)
        fresh.sort()
        before = 0
        for index, bound in enumerate(self.buckets):
            upto = bisect_right(fresh, bound, before)
            self.counts[index] += upto - before
            before = upto
        self.counts[-1] += len(fresh) - before
        fresh.clear()

    def state(self) -> dict[str, Any]:
        """Return it as plain values, folded."""
        self.fold()
        return {
            "buckets": list(self.buckets),
            "counts": list(self.counts),
            "sum": self.sum,
            "created": self.created,
        }

    @classmethod
    def of(cls, state: dict[str, Any]) -> Histogram:
        """Return the histogram of a state."""
        made = cls(tuple(state["buckets"]))
        made.counts = list(state["counts"])
        made.sum, made.created = state["sum"], state["created"]
        return made

    def add(self, state: dict[str, Any]) -> None:
        """Add the observations of another process, whose buckets are the same."""
        pairs = zip(self.counts, state["counts"], strict=True)
        self.counts = [mine + other for mine, other in pairs]
        self.sum += state["sum"]
        self.created = min(self.created, state["created"])

    def lines(self, name: str, label: str) -> Iterable[str]:
        """Yield buckets, count and sum in Prometheus's text format; `label` as it stands there."""
        total = 0
        bounds = (*(str(bound) for bound in self.buckets), "+Inf")
        for bound, count in zip(bounds, self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}",{label}}} {float(total)}'
        yield f"{name}_count{{{label}}} {float(total)}"
        yield f"{name}_sum{{{label}}} {self.sum!r}"
