"""Where the time of a cold start went, for one request that waited for it. Pure.

queue   until a replica is being started: somebody must decide that there shall be one
fork    until its process is there
load    until the process says that it is up: the model is loaded
ready   until its readiness probe has passed
route   until the gateway has its endpoint, and the request goes
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

PHASES = ("queue", "fork", "load", "ready", "route")


@dataclass(frozen=True, slots=True)
class Start:
    """When the replica came up: asked for, forked, saying so, found ready.

    In seconds since the epoch; 0 for what is not known (not each process says that it is up).
    """

    asked: float
    forked: float
    said: float
    ready: float


def make_phases(arrived: float, gone: float, start: Start | None) -> tuple[float, ...]:
    """Return the seconds of each of `PHASES` between a request's arrival and its going.

    They sum to the wait: of what was over when the request came, nothing is its own. () where it
    waited for no start.
    """
    if start is None or not arrived < start.ready:
        return ()
    edges = (arrived, start.asked, start.forked, start.said or start.ready, start.ready)
    reached = [*(min(edge, gone) for edge in accumulate(edges, max)), gone]
    return tuple(after - before for before, after in pairwise(reached))


def render_timing(waited: float, phases: tuple[float, ...]) -> str:
    """Return the value of `Server-Timing`: the whole wait, and its phases, in milliseconds."""
    told = (("activator", waited), *zip(PHASES, phases, strict=False))
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in told)
