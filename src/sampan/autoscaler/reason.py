"""Why a revision has as many replicas as it has, as one sentence with its numbers."""

from __future__ import annotations

from sampan.autoscaler.bounds import Bounded
from sampan.autoscaler.decide import Decision, Reading
from sampan.autoscaler.settings import Settings
from sampan.autoscaler.target import ANY

UNITS = {"concurrency": "requests in flight", "rps": "requests a second"}


def render_reason(
    settings: Settings, reading: Reading, decision: Decision, bounded: Bounded
) -> str:
    """Return the numbers that made a decision, such as "3 replicas: 201 requests in flight …"."""
    unit = UNITS[settings.metric]
    if decision.panicking:
        value, window = reading.panic, settings.panic_window
    else:
        value, window = reading.stable, settings.stable_window
    measured = f"{value:.4g} {unit} over {window} s"
    if settings.target < ANY:
        measured += f", at {settings.target:.4g} a replica"
    parts = [f"{_replicas(bounded.replicas)}: {measured}"]
    if decision.panicking:
        parts.append("rising fast, so none is taken away")
    if decision.delayed:
        parts.append(f"kept for scale-down-delay ({settings.scale_down_delay:.0f} s)")
    if bounded.by:
        parts.append(f"{_replicas(decision.desired)} wanted, {bounded.by} decides")
    return "; ".join(parts)


def _replicas(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"
