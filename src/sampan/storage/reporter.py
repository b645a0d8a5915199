"""Progress told often enough for a person, and rarely enough to cost nothing."""

from __future__ import annotations

import time

from sampan.storage.base import Progress, ReportProgress

_INTERVAL_SECONDS = 0.2
"""Five times a second: more cannot be read."""


class Reporter:
    """Passes on the first and last progress of each phase, and some in between."""

    def __init__(self, report: ReportProgress) -> None:
        self._report = report
        self._phase = ""
        self._told_at = 0.0

    def tell(self, phase: str, done: int = 0, total: int = 0) -> None:
        """Tell how far a phase is, in bytes; `total` is 0 where nobody knows."""
        now = time.monotonic()
        news = phase != self._phase or (total and done >= total)
        if news or now - self._told_at >= _INTERVAL_SECONDS:
            self._phase, self._told_at = phase, now
            self._report(Progress(phase, done, total))
