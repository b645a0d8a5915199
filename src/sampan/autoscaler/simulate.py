"""Replicas over time for a load that is known: the autoscaler itself, in a world of its own.

What decides is the very object that decides for a service that runs. Of the world it is assumed
that a replica serves a fixed time after it was asked for, that one that is taken away is gone at
once, and that the load does not depend on how it is served.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sampan.autoscaler.decide import TICK
from sampan.autoscaler.outcome import Seen
from sampan.autoscaler.scaler import RequestScaler
from sampan.autoscaler.settings import Settings
from sampan.autoscaler.trace import Trace


@dataclass(frozen=True, slots=True)
class World:
    """What is assumed: seconds until a replica serves, and replicas that serve at the start.

    `to_zero`: somebody holds requests, so that none need run.
    """

    start_seconds: float = 2.0
    ready: int = 0
    to_zero: bool = True


@dataclass(frozen=True, slots=True)
class Moment:
    """One second: the load in it, the replicas that are wanted and those that serve at its end.

    `reason` is the decision's, where one was made.
    """

    second: int
    load: float
    wanted: int
    ready: int
    reason: str = ""


def simulate(settings: Settings, trace: Trace, world: World) -> Iterator[Moment]:
    """Yield each second of a trace."""
    scaler = RequestScaler(settings, world.ready, 0.0)
    serving_at = [0.0] * world.ready
    resize(serving_at, scaler.current, world.start_seconds)
    decided_at, held = 0.0, False
    for second, load in enumerate(trace.values):
        now, reason = second + 1.0, ""
        scaler.record(now, load)
        ready = sum(at <= now for at in serving_at)
        asleep = scaler.current == 0
        # Nobody waits for the clock: a request for none that runs is decided about at once.
        if now - decided_at >= TICK or (asleep and load):
            seen = Seen(ready, len(serving_at) - ready, held=held, can_hold=world.to_zero)
            outcome = scaler.decide(now, seen)
            scaler.take(outcome)
            decided_at, held, reason = now, outcome.hold, outcome.reason
            resize(serving_at, outcome.replicas, now + world.start_seconds)
        ready = sum(at <= now for at in serving_at)
        yield Moment(second, load, len(serving_at), ready, reason)


def resize(serving_at: list[float], replicas: int, at: float) -> None:
    """Add replicas that serve from `at` on, or take the youngest away."""
    del serving_at[replicas:]
    serving_at += [at] * (replicas - len(serving_at))
