"""When a crashed replica starts again: the kubelet's CrashLoopBackOff. Pure.

The first restart is immediate; then 10 s, doubled by each further crash up to 300 s. A run of
ten minutes ends the series (Kubernetes, "Pod Lifecycle", "Container restarts").
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackOff:
    """Delays in seconds: the first one that is not zero, the largest, and what a good run is."""

    initial: float = 10.0
    cap: float = 300.0
    reset_after: float = 600.0

    def crashes(self, before: int, ran_seconds: float) -> int:
        """Return the length of the series of crashes once a run of that length has ended."""
        return 1 if ran_seconds >= self.reset_after else before + 1

    def delay(self, crashes: int) -> float:
        """Return how long to wait after that many crashes in a row."""
        if crashes <= 1:
            return 0.0
        doublings = min(crashes - 2, 64)  # far past any cap; keeps the power finite
        return min(self.cap, self.initial * 2.0**doublings)
