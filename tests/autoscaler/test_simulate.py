"""Replicas over time for a load that is known."""

from __future__ import annotations

import pytest

from sampan.autoscaler.settings import Settings
from sampan.autoscaler.simulate import Moment, World, simulate
from sampan.autoscaler.trace import Trace, TraceError, parse_trace

DEFAULT = Settings()


def run(values: list[float], world: World | None = None) -> list[Moment]:
    return list(simulate(DEFAULT, Trace("concurrency", tuple(values)), world or World(ready=1)))


def test_a_burst_is_met_within_a_panic_window_and_let_go_after_a_stable_one() -> None:
    moments = run([300.0] * 60 + [0.0] * 120)
    assert moments[9].ready >= 4
    assert max(m.wanted for m in moments) == 5
    assert moments[-1].wanted == 0


def test_a_request_for_none_starts_one_at_once() -> None:
    moments = run([0.0] * 100 + [1.0] * 10, World(start_seconds=3, ready=1))
    assert moments[99].wanted == 0
    assert moments[100].wanted == 1
    assert [m.ready for m in moments[100:104]] == [0, 0, 0, 1]


def test_a_replica_serves_after_its_start() -> None:
    moments = run([140.0] * 20, World(start_seconds=5, ready=1))
    wanted = next(m.second for m in moments if m.wanted == 2)
    assert next(m.second for m in moments if m.ready == 2) == wanted + 5


def test_it_can_be_told_twice() -> None:
    load = [float(10 * (n % 40)) for n in range(300)]
    assert run(load) == run(load)


TRACES = {
    "requests in flight": ("second,concurrency\n0,5\n1,6\n", Trace("concurrency", (5, 6))),
    "requests that came": ("second,requests\n0,5\n", Trace("rps", (5,))),
    "a value holds until the next": (
        "second,concurrency\n0,5\n3,1\n", Trace("concurrency", (5, 5, 5, 1)),
    ),
    "before the first row there is none": (
        "second,concurrency\n2,5\n", Trace("concurrency", (0, 0, 5)),
    ),
    "spaces, capitals, empty lines and a byte order mark": (
        "\ufeffSecond, Concurrency\n 0 , 5 \n\n1,2.5\n", Trace("concurrency", (5, 2.5)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", TRACES)
def test_a_trace(row: str) -> None:
    text, expected = TRACES[row]
    assert parse_trace(text) == expected


BAD = {
    "nothing": ("", 'line 1 is "nothing"'),
    "another header": ("time,load\n0,1\n", 'line 1 is "time,load"'),
    "no row": ("second,concurrency\n", "there is no row"),
    "three cells": ("second,concurrency\n0,1,2\n", 'line 2 is "0,1,2"'),
    "a second that is no number": ("second,concurrency\nx,1\n", 'the second "x"'),
    "a second below zero": ("second,concurrency\n-1,1\n", 'the second "-1"'),
    "more than a week": ("second,concurrency\n99999999,1\n", 'the second "99999999"'),
    "a value that is no number": ("second,concurrency\n0,much\n", 'the value "much"'),
    "a value below zero": ("second,concurrency\n0,-1\n", 'the value "-1"'),
    "a value that is not finite": ("second,concurrency\n0,inf\n", 'the value "inf"'),
    "seconds out of order": ("second,concurrency\n5,1\n4,1\n", "the second 4"),
    "a second twice": ("second,concurrency\n5,1\n5,1\n", "the second 5"),
}


@pytest.mark.parametrize("row", BAD)
def test_a_trace_that_cannot_be_read(row: str) -> None:
    text, words = BAD[row]
    with pytest.raises(TraceError) as told:
        parse_trace(text)
    assert words in str(told.value)
