"""The decision, row by row, and against a simulation that takes each rule as a step of its own."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.autoscaler.decide import (
    Decision,
    Memory,
    Reading,
    decide,
    excess_burst,
    start_memory,
)
from sampan.autoscaler.settings import Defaults, Settings

DEFAULT = Settings()
"""Knative's own: 70 in flight a replica, 60 s and 6 s, panic at twice."""


def once(settings: Settings, reading: Reading, memory: Memory | None = None) -> Decision:
    return decide(settings, reading, memory or Memory(), 1000.0)[0]


DECISIONS = {
    "no load at one replica asks for none": (DEFAULT, Reading(0, 0, 1), 0),
    "one request at zero asks for one": (DEFAULT, Reading(1, 1, 0), 1),
    "70 in flight fit in one": (DEFAULT, Reading(70, 70, 1), 1),
    "71 in flight need two": (DEFAULT, Reading(71, 71, 1), 2),
    "a burst in the panic window counts": (DEFAULT, Reading(10, 700, 1), 10),
    "a burst below twice the ready replicas does not": (DEFAULT, Reading(10, 700, 6), 3),
    "down goes by half a decision": (DEFAULT, Reading(0, 0, 100), 50),
    "a revision without a route goes to zero at once": (
        DEFAULT,
        Reading(0, 0, 100, reachable=False),
        0,
    ),
    "up goes by max-scale-up-rate a decision": (
        Settings(defaults=Defaults(max_scale_up_rate=2)),
        Reading(7000, 7000, 3),
        6,
    ),
    "any load has at least activation-scale": (Settings(activation=5), Reading(1, 1, 1), 5),
    "activation-scale asks for nothing without load": (Settings(activation=5), Reading(0, 0, 1), 0),
    "requests a second count likewise": (
        Settings(metric="rps", target=140, total=200),
        Reading(300, 300, 2),
        3,
    ),
}


@pytest.mark.parametrize("row", DECISIONS)
def test_a_decision(row: str) -> None:
    settings, reading, desired = DECISIONS[row]
    assert once(settings, reading).desired == desired


def test_one_replica_panics_at_71_in_flight() -> None:
    # The wanted replicas are compared with the ready ones, not the load with the target.
    assert once(DEFAULT, Reading(71, 71, 1)).panicking
    assert not once(DEFAULT, Reading(70, 70, 1)).panicking


def test_panic_ends_a_whole_stable_window_after_the_last_second_over_the_threshold() -> None:
    memory = Memory()
    decision, memory = decide(DEFAULT, Reading(700, 700, 1), memory, 0.0)
    assert (decision.desired, decision.panicking) == (10, True)
    decision, memory = decide(DEFAULT, Reading(0, 0, 10), memory, 60.0)
    assert (decision.desired, decision.panicking) == (10, True)
    decision, memory = decide(DEFAULT, Reading(0, 0, 10), memory, 60.1)
    assert (decision.desired, decision.panicking) == (5, False)
    assert memory.panic_replicas == 0


def test_while_in_panic_the_number_only_rises() -> None:
    memory, asked = Memory(), []
    for second, load in enumerate([700, 300, 900, 100]):
        decision, memory = decide(DEFAULT, Reading(load, load, 1), memory, second * 2.0)
        asked.append(decision.desired)
    assert asked == [10, 10, 13, 13]


def test_a_delay_keeps_the_most_that_was_wanted_within_it() -> None:
    settings = Settings(scale_down_delay=10)
    memory, asked = Memory(), []
    for tick, load in enumerate([210, 70, 70, 140, 70, 70, 70, 70, 70, 70]):
        decision, memory = decide(settings, Reading(load, 0, 3), memory, tick * 2.0)
        asked.append(decision.desired)
    # Ten seconds are five decisions: the 3 of the first holds through the fifth, the 2 of the
    # fourth through the eighth, and then what is wanted now.
    assert asked == [3, 3, 3, 3, 3, 2, 2, 2, 1, 1]


def test_without_a_delay_two_decisions_of_one_moment_may_fall() -> None:
    _, memory = decide(DEFAULT, Reading(210, 0, 3), Memory(), 0.0)
    assert decide(DEFAULT, Reading(70, 0, 3), memory, 0.0)[0].desired == 1


def test_an_autoscaler_that_finds_replicas_starts_in_panic_and_takes_none_away() -> None:
    memory = start_memory(8, 0.0)
    assert decide(DEFAULT, Reading(0, 0, 8), memory, 2.0)[0].desired == 8
    assert start_memory(1, 0.0) == start_memory(0, 0.0) == Memory()


BURSTS = {
    "two idle replicas are too few for a burst of 211": (100.0, 211.0, Reading(0, 0, 2), -11),
    "three are enough": (100.0, 211.0, Reading(0, 0, 3), 89),
    "ten a replica need 22": (10.0, 211.0, Reading(0, 0, 22), 9),
    "with 21 the activator stays": (10.0, 211.0, Reading(0, 0, 21), -1),
    "four a replica need 53": (4.0, 211.0, Reading(0, 0, 53), 1),
    "one a replica needs 211": (1.0, 211.0, Reading(0, 0, 211), 0),
    "load lowers it": (100.0, 211.0, Reading(0, 90, 3), -1),
    "-1: always": (100.0, -1.0, Reading(0, 0, 99), -1),
    "0: only at zero": (100.0, 0.0, Reading(0, 99, 1), 0),
    "no ready replica counts as none": (100.0, 211.0, Reading(0, 0, 0), -211),
}


@pytest.mark.parametrize("row", BURSTS)
def test_excess_burst_capacity(row: str) -> None:
    total, capacity, reading, excess = BURSTS[row]
    assert excess_burst(Settings(total=total, burst_capacity=capacity), reading) == excess


class Simulation:
    """The rules again, as a list of steps over attributes: slow, and on purpose unlike ours."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.panic_since: float | None = None
        self.panic_most = 0
        self.history: list[tuple[float, int]] = []

    def step(self, reading: Reading, now: float) -> int:
        s = self.settings
        ready = max(1, reading.ready)
        top = math.ceil(s.defaults.max_scale_up_rate * ready)
        bottom = int(ready // s.defaults.max_scale_down_rate) if reading.reachable else 0
        wanted = {}
        for name, value in (("stable", reading.stable), ("panic", reading.panic)):
            raw = math.ceil(value / s.target)
            clamped = sorted((bottom, raw, top))[1]
            if s.activation > 1 and raw > 0:
                clamped = max(clamped, s.activation)
            wanted[name] = clamped
        over = math.ceil(reading.panic / s.target) >= s.panic_threshold * ready
        if over:
            self.panic_since = now
        elif self.panic_since is not None and now - self.panic_since > s.stable_window:
            self.panic_since, self.panic_most = None, 0
        desired = wanted["stable"]
        if self.panic_since is not None:
            self.panic_most = max(self.panic_most, *wanted.values())
            desired = self.panic_most
        if not s.scale_down_delay or not reading.reachable:
            return desired
        self.history.append((now, desired))
        steps = math.ceil(s.scale_down_delay / 2)
        return max(n for at, n in self.history if now // 2 - at // 2 < steps)


SETTINGS = st.builds(
    Settings,
    target=st.sampled_from([1.0, 7.0, 70.0]),
    activation=st.sampled_from([1, 2, 5]),
    stable_window=st.sampled_from([6, 20, 60]),
    panic_threshold=st.sampled_from([1.25, 2.0, 10.0]),
    scale_down_delay=st.sampled_from([0.0, 1.0, 10.0]),
    defaults=st.builds(
        Defaults,
        max_scale_up_rate=st.sampled_from([1.5, 2.0, 1000.0]),
        max_scale_down_rate=st.sampled_from([1.5, 2.0]),
    ),
)
READINGS = st.builds(
    Reading, st.integers(0, 300), st.integers(0, 900), st.integers(0, 20), st.just(True)
)


@given(settings=SETTINGS, readings=st.lists(READINGS, min_size=1, max_size=40), lost=st.booleans())
def test_any_history_is_decided_as_the_simulation_does(
    settings: Settings, readings: list[Reading], lost: bool
) -> None:
    memory, simulation = Memory(), Simulation(settings)
    for tick, given_reading in enumerate(readings):
        reading = replace(given_reading, reachable=not (lost and tick == len(readings) - 1))
        decision, memory = decide(settings, reading, memory, tick * 2.0)
        assert decision.desired == simulation.step(reading, tick * 2.0)
