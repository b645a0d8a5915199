"""Averages over the last seconds, against a second reckoning of the same words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.autoscaler.windows import Window, panic_seconds, smoothing_weight

WRITES = {
    "nothing was ever written": (60, [], 100, 0.0),
    "a fresh revision is averaged over its own age": (60, [(100, 6.0)], 100, 6.0),
    "two seconds of a fresh revision": (60, [(100, 6.0), (101, 2.0)], 101, 4.0),
    "values of one second add up": (60, [(100, 1.0), (100.9, 2.0)], 100, 3.0),
    "a second without a value between two counts as 0": (60, [(100, 6.0), (102, 6.0)], 102, 4.0),
    "seconds after the last value shrink nothing": (60, [(100, 6.0), (101, 6.0)], 110, 6.0),
    "what falls out of the window is forgotten": (2, [(100, 9.0), (101, 3.0), (102, 1.0)], 102, 2),
    "what fell out since the last value is forgotten": (3, [(1, 9.0), (2, 3.0), (3, 3.0)], 4, 3.0),
    "after as long as the window all is 0": (60, [(100, 6.0)], 160, 0.0),
    "one second before that it is not": (60, [(100, 6.0)], 159, 6.0),
    "a gap as long as the window starts anew": (60, [(100, 60.0), (160, 2.0)], 160, 2.0),
    "a late value inside the window is added": (60, [(100, 2.0), (99, 4.0)], 100, 3.0),
    "a value older than the window is ignored": (60, [(100, 2.0), (40, 99.0)], 100, 2.0),
    "a sum of floats is rounded to six decimals": (60, [(1, 0.1), (1, 0.2)], 1, 0.3),
}


@pytest.mark.parametrize("row", WRITES)
def test_a_linear_average(row: str) -> None:
    seconds, writes, now, average = WRITES[row]
    window = Window(seconds)
    for at, value in writes:
        window.record(at, value)
    assert window.average(now) == average


@pytest.mark.parametrize(("buckets", "weight"), [(6, 0.7846), (40, 0.2057), (42, 0.2), (60, 0.2)])
def test_the_newest_bucket_weighs_what_knative_gives_it(buckets: int, weight: float) -> None:
    assert smoothing_weight(buckets) == pytest.approx(weight, abs=5e-5)


def test_a_weighted_average_decays_over_seconds_without_values() -> None:
    window = Window(6, "weighted-exponential")
    window.record(100, 10.0)
    weight = smoothing_weight(6)
    assert window.average(100) == pytest.approx(10 * weight)
    assert window.average(102) == pytest.approx(10 * weight * (1 - weight) ** 2)


@pytest.mark.parametrize(
    ("stable", "percentage", "seconds"), [(60, 10, 6), (6, 10, 1), (6, 1, 1), (3600, 100, 3600)]
)
def test_a_panic_window_is_a_share_of_the_stable_one(
    stable: float, percentage: float, seconds: int
) -> None:
    assert panic_seconds(stable, percentage) == seconds


def reckoned(seconds: int, writes: list[tuple[int, int]], now: int) -> float:
    """The same average by keeping each value and looking at all of them each time."""
    kept: dict[int, int] = {}
    first = last = None
    for at, value in writes:
        if last is not None and at <= last - seconds:
            continue
        if last is None or at - last >= seconds:
            kept, first = {}, at
        last = at if last is None else max(last, at)
        assert first is not None
        first = min(first, at)
        kept[at] = kept.get(at, 0) + value
    if last is None or first is None or now - last >= seconds:
        return 0.0
    newest = max(now, last)
    total = sum(value for at, value in kept.items() if newest - seconds < at <= newest)
    return round(total / min(last - first + 1, seconds - max(0, now - last)), 6)


@given(
    seconds=st.integers(1, 12),
    writes=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 99)), max_size=30),
    later=st.integers(0, 20),
)
def test_any_history_averages_as_a_reckoning_from_all_its_values(
    seconds: int, writes: list[tuple[int, int]], later: int
) -> None:
    window = Window(seconds)
    for at, value in writes:
        window.record(at, value)
    now = max((at for at, _ in writes), default=0) + later
    assert window.average(now) == reckoned(seconds, writes, now)
