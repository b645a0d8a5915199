"""Decides where a model's predict runs: on a worker thread, or on the loop while it is quick.

The hop to a thread and back costs more than a small model itself; a slow call on the loop costs
everybody. So a model earns the loop by a row of quick calls, and loses it at the first slow one;
each loss doubles the row that it needs next. Pure: the durations are arguments.
"""

from __future__ import annotations

QUICK_SECONDS = 0.001  # sixteen small requests in one call of scikit-learn take 0.3 to 0.5 ms
SLOW_SECONDS = 0.002  # what a health check may wait for others; a probe's limit is a second
FIRST_ROW = 8
LAST_ROW = 1 << 20
INLINE_BYTES = 32 * 1024  # a larger body takes long to decode, however quick the model


class Pace:
    """What is known of one model."""

    __slots__ = ("_needed", "_row", "doubt", "inline")

    def __init__(self) -> None:
        self.inline = False
        self.doubt = False
        """Whether the last call on the loop was slow by the clock alone: the next one is measured
        by its thread's time too, which is dear, and decides."""
        self._row = 0
        self._needed = FIRST_ROW

    def observe(self, seconds: float) -> None:
        """Take the duration of one call, decoding and encoding included."""
        if self.inline:
            if seconds > SLOW_SECONDS:
                self.inline = False
                self._row = 0
                self._needed = min(LAST_ROW, self._needed * 2)
        elif seconds < QUICK_SECONDS:
            self._row += 1
            self.inline = self._row >= self._needed
        else:
            self._row = 0


def charge(wall: float, cpu: float) -> float:
    """Return the seconds to hold against a call that took `wall`, of them `cpu` on its own thread.

    On a machine with other work a quick call may be put aside for milliseconds: that is not the
    model's doing, and counts an eighth. A call that truly waits is still found out by it.
    """
    return max(cpu, wall / 8)
