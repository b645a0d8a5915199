"""Counters that are read at any time, to one value for each second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.autoscaler.signal import LEAST_SECONDS, LONGEST_GAP, Signal, Traffic

Reading = tuple[float, int, int]
"""When, in flight, and ever."""


def seconds(metric: str, start: float, readings: list[Reading]) -> list[tuple[float, float]]:
    signal = Signal(metric, start)
    return [
        second
        for now, active, total in readings
        for second in signal.add(now, Traffic(active, total))
    ]


ROWS = {
    "two in flight for a second": ("concurrency", 10.0, [(11.0, 2, 2)], [(11.0, 2)]),
    "two in flight for half of it": (
        "concurrency", 10.0, [(10.5, 2, 2), (11.0, 0, 2)], [(11.0, 1)],
    ),
    "a second that has not ended is not told": ("concurrency", 10.0, [(10.9, 2, 2)], []),
    "a reading over two seconds counts in both": (
        "concurrency", 10.0, [(12.0, 3, 3)], [(11.0, 3), (12.0, 3)],
    ),
    "requests of a rate are those that came": (
        "rps", 10.0, [(10.5, 0, 100), (11.0, 9, 130)], [(11.0, 30)],
    ),
    "what came before the first reading is not known": ("rps", 10.0, [(11.0, 0, 999)], [(11.0, 0)]),
    "a total that goes back tells of no request": (
        "rps", 10.0, [(11.0, 0, 50), (12.0, 0, 40), (13.0, 0, 50)],
        [(11.0, 0), (12.0, 0), (13.0, 0)],
    ),
    "a long gap is not filled": (
        "concurrency", 10.0, [(11.0, 1, 1), (11.0 + LONGEST_GAP + 1, 9, 9)], [(11.0, 1)],
    ),
    "a clock that goes back begins anew": (
        "concurrency", 10.0, [(11.0, 1, 1), (5.0, 1, 1), (6.0, 1, 1)], [(11.0, 1), (6.0, 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_a_second(row: str) -> None:
    metric, start, readings, expected = ROWS[row]
    assert dict(seconds(metric, start, readings)) == pytest.approx(dict(expected))


def test_requests_between_two_readings_are_more_than_none() -> None:
    (value,) = [v for _, v in seconds("concurrency", 9.0, [(10.0, 0, 0), (11.0, 0, 40)]) if v]
    assert value == pytest.approx(40 * LEAST_SECONDS)


@given(st.lists(st.tuples(st.floats(0.01, 1.5), st.integers(0, 50)), min_size=1, max_size=60))
def test_however_often_it_is_read_all_that_was_in_flight_is_counted(
    steps: list[tuple[float, int]],
) -> None:
    now, readings, integral = 100.0, [], 0.0
    for wait, active in steps:
        now += wait
        readings.append((now, active, 0))
        integral += wait * active
    whole = [(float(int(now)) + 1, 0, 0)]  # the last second is let end
    told = seconds("concurrency", 100.0, readings + whole)
    assert sum(value for _, value in told) == pytest.approx(integral)
    assert [second for second, _ in told] == sorted({second for second, _ in told})
