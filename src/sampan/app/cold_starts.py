"""What cold starts cost, for `/metrics`: a histogram of each phase, an observation a start."""

from __future__ import annotations

from sampan.activator.phases import PHASES
from sampan.app.operator_health import Took
from sampan.server.metrics_process import render_process


class ColdStarts:
    """Counts the cold starts of a daemon's life."""

    def __init__(self) -> None:
        self._phases = Took(
            "sampan_cold_start_seconds",
            "Where the first request of a cold start waited",
            "phase",
        )

    def note(self, workload: str, phases: tuple[float, ...]) -> None:
        """Take in one: the phases of the request that waited longest, and the whole."""
        del workload  # a label a workload would make a series of each
        for name, seconds in zip(PHASES, phases, strict=True):
            self._phases.note(name, seconds)
        self._phases.note("all", sum(phases))

    def render(self) -> list[str]:
        """Return them and what the daemon uses, in lines of Prometheus's text format."""
        return [*self._phases.render(), *render_process()]
