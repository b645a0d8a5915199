"""The two windows of one revision's measure: the stable one and the panic one."""

from __future__ import annotations

from sampan.autoscaler.decide import Reading
from sampan.autoscaler.settings import Settings
from sampan.autoscaler.windows import Window


class Meter:
    """What one revision was asked for, second by second."""

    __slots__ = ("_panic", "_stable")

    def __init__(self, settings: Settings) -> None:
        self._stable = Window(settings.stable_window, settings.algorithm)
        self._panic = Window(settings.panic_window, settings.algorithm)

    def record(self, now: float, value: float) -> None:
        """Add what was measured in the second of `now`, summed over the revision's replicas:
        the average concurrency in it, or the requests that came.
        """
        self._stable.record(now, value)
        self._panic.record(now, value)

    def is_empty(self, now: float) -> bool:
        """Tell whether nothing was measured within the stable window."""
        return self._stable.is_empty(now)

    def read(self, now: float, ready: int, *, reachable: bool = True) -> Reading:
        """Return the averages at `now`, beside how many replicas are ready."""
        return Reading(self._stable.average(now), self._panic.average(now), ready, reachable)
