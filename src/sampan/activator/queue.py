"""Who waits for one workload, and who may go: first come, first served. Pure.

Knative Serving, activator: 10,000 requests of a revision may wait; where a container says how many
requests it takes at once, no more than that are let go.
"""

from __future__ import annotations

from typing import Generic, TypeVar

QUEUE_DEPTH = 10_000
"""How many requests of a workload may wait (Knative's breaker has the same depth)."""

Waiter = TypeVar("Waiter")


class Queue(Generic[Waiter]):
    """The waiting requests of one workload, in the order in which they came."""

    __slots__ = ("_limit", "_waiting")

    def __init__(self, limit: int = QUEUE_DEPTH) -> None:
        self._limit = limit
        self._waiting: dict[Waiter, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, waiter: Waiter) -> bool:
        """Add one at the end; False: as many wait as may."""
        if len(self._waiting) >= self._limit:
            return False
        self._waiting[waiter] = None
        return True

    def leave(self, waiter: Waiter) -> bool:
        """Take one out, wherever it stands; False: it waits no more."""
        return self._waiting.pop(waiter, self) is None

    def take(self, count: int) -> tuple[Waiter, ...]:
        """Take out the first `count`, fewer where fewer wait."""
        first = tuple(waiter for waiter, _ in zip(self._waiting, range(count), strict=False))
        for waiter in first:
            del self._waiting[waiter]
        return first


def select_count(endpoints: int, concurrency: int, busy: int, waiting: int) -> int:
    """Return how many of the waiting may go now.

    `concurrency` is how many requests an endpoint takes at once, 0: as many as come. `busy`
    requests are under way. Without an endpoint nobody goes.
    """
    if not endpoints:
        return 0
    if not concurrency:
        return waiting
    return max(0, min(waiting, endpoints * concurrency - busy))
