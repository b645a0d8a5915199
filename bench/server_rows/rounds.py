"""Rounds of load by wrk on both sides in turn, and the CPU time that a request took meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.ask import Ask
from bench.processes import tree_of, usage_of
from bench.servers import Up
from bench.setting import Setting
from bench.wrk import Load, run_wrk

CONNECTIONS = 16
LOAD_SECONDS = 3
WARM_SECONDS = 1


@dataclass(frozen=True)
class Round:
    """One run on one side: what wrk tells, and CPU milliseconds a request of the whole server."""

    load: Load
    cpu: float


@dataclass(frozen=True)
class Rounds:
    """All runs on both sides."""

    ours: list[Round]
    peer: list[Round]

    def values(self, read: Callable[[Load], float]) -> tuple[list[float], list[float]]:
        """Return one figure of each run, a list a side."""
        return [read(one.load) for one in self.ours], [read(one.load) for one in self.peer]

    @property
    def note(self) -> str:
        """What the same runs say of CPU time: on a machine that is busy besides, it swings less."""
        ours, peer = (median(one.cpu for one in side) for side in (self.ours, self.peer))
        return f"CPU a request: {ours:.3g} ms against {peer:.3g} ms, {peer / ours:.3g} x"


def measure_round(side: Up, ask: Ask, connections: int) -> Round:
    """Load a server, after a run that does not count."""
    run_wrk(side.http, ask, connections, WARM_SECONDS)
    tree = tree_of(side.pid)
    before = usage_of(tree).cpu_seconds
    load = run_wrk(side.http, ask, connections, LOAD_SECONDS)
    answered = max(1, load.requests)  # a machine that is full may let none through in time
    return Round(load, 1000 * (usage_of(tree).cpu_seconds - before) / answered)


def measure_rounds(setting: Setting, ask: Ask, sides: list[Up], connections: int) -> Rounds:
    """Load both sides in turn."""
    kept = Rounds([], [])

    def once(side: Up, rounds: list[Round]) -> float:
        rounds.append(measure_round(side, ask, connections))
        return rounds[-1].load.rate

    ours, peer = sides
    setting.alternate(lambda: once(ours, kept.ours), lambda: once(peer, kept.peer))
    return kept
