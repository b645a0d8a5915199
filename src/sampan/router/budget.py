"""Bounds on what a graph asks beyond its requests. Counts only: they know no time."""

from __future__ import annotations

BURST = 10.0
"""Calls that may be made at once before the share counts: a few failures say nothing yet."""

MOST_MIRRORED = 64
"""Mirrored calls under way; each holds its body, and nobody waits for them."""


class Budget:
    """How many calls of a step may be made once more: a share of its requests."""

    __slots__ = ("_earned", "_share")

    def __init__(self, percent: int) -> None:
        self._share = percent / 100
        self._earned = BURST

    def earn(self) -> None:
        """Count a request."""
        self._earned = min(BURST, self._earned + self._share)

    def spend(self) -> bool:
        """Whether one more call may be made; it is counted then."""
        if self._earned < 1:
            return False
        self._earned -= 1
        return True


class Gate:
    """Lets so many be under way, and counts whom it turned away."""

    __slots__ = ("_free", "refused")

    def __init__(self, most: int = MOST_MIRRORED) -> None:
        self._free = most
        self.refused = 0

    def enter(self) -> bool:
        """Whether one more may begin; it must `leave`."""
        if self._free == 0:
            self.refused += 1
            return False
        self._free -= 1
        return True

    def leave(self) -> None:
        """One has ended."""
        self._free += 1
