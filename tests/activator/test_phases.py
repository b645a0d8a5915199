"""Where a cold start's time went, for those who waited for it from before and from in between."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.activator.phases import PHASES, Start, make_phases, render_timing

START = Start(asked=10.0, forked=10.25, said=12.0, ready=12.5)

ROWS = {
    "who woke it has waited for all of it": (9.0, 13.0, START, (1.0, 0.25, 1.75, 0.5, 0.5)),
    "who came while it loaded has waited for the rest": (
        11.0, 13.0, START, (0.0, 0.0, 1.0, 0.5, 0.5),
    ),
    "who came when it was ready already has waited for the route, which is no cold start": (
        12.75, 13.0, START, (),
    ),
    "a process that says nothing has loaded until it was found ready": (
        9.0, 13.0, Start(10.0, 10.25, 0.0, 12.5), (1.0, 0.25, 2.25, 0.0, 0.5),
    ),
    "a start after a crash was asked for long ago": (
        9.0, 13.0, Start(1.0, 10.25, 12.0, 12.5), (0.0, 1.25, 1.75, 0.5, 0.5),
    ),
    "nothing is known of the start": (9.0, 13.0, None, ()),
}  # fmt: skip


@pytest.mark.parametrize(("arrived", "gone", "start", "phases"), ROWS.values(), ids=list(ROWS))
def test_phases(
    arrived: float, gone: float, start: Start | None, phases: tuple[float, ...]
) -> None:
    assert make_phases(arrived, gone, start) == phases


TIMES = st.integers(0, 1000).map(lambda n: n / 8)  # sums of eighths are exact


@settings(deadline=None)
@given(TIMES, TIMES, st.builds(Start, TIMES, TIMES, TIMES, TIMES))
def test_phases_are_never_negative_and_sum_to_the_wait(
    arrived: float, wait: float, start: Start
) -> None:
    phases = make_phases(arrived, arrived + wait, start)
    assert len(phases) in {0, len(PHASES)}
    assert all(seconds >= 0 for seconds in phases)
    assert not phases or sum(phases) == wait


@settings(deadline=None)
@given(st.lists(TIMES, min_size=2, max_size=5))
def test_of_two_who_wait_the_later_has_no_phase_that_is_longer(arrivals: list[float]) -> None:
    gone = max(arrivals) + START.ready
    found = [make_phases(each, gone, START) for each in sorted(arrivals)]
    for earlier, later in itertools.pairwise(found):
        assert all(b <= a for a, b in zip(earlier[:-1], later[:-1], strict=False))


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        pytest.param((), "activator;dur=1500.0", id="the wait alone where there was no start"),
        pytest.param(
            (0.1, 0.2, 1.0, 0.15, 0.05),
            "activator;dur=1500.0, queue;dur=100.0, fork;dur=200.0, load;dur=1000.0, "
            "ready;dur=150.0, route;dur=50.0",
            id="and its phases in milliseconds",
        ),
    ],
)
def test_server_timing(phases: tuple[float, ...], told: str) -> None:
    assert render_timing(1.5, phases) == told
