"""Scaling by use, as the HorizontalPodAutoscaler's documents say."""

from __future__ import annotations

import pytest

from sampan.autoscaler.hpa import (
    Advice,
    Direction,
    Measure,
    Past,
    RatePolicy,
    Rules,
    advise,
)

QUICK = Direction(0, ())
FREE = Rules(1, 100, QUICK, QUICK)


def ask(rules: Rules, current: int, *measures: tuple[float, float]) -> Advice:
    made = [Measure(f"m{index}", value, target) for index, (value, target) in enumerate(measures)]
    return advise(rules, made, current, Past(), 0.0)


RATIOS = {
    "twice the target doubles": (3, [(200.0, 100.0)], 6),
    "half the target halves": (4, [(50.0, 100.0)], 2),
    "a fraction is rounded up": (3, [(120.0, 100.0)], 4),
    "within a tenth nothing changes": (10, [(110.0, 100.0)], 10),
    "nor a tenth below": (10, [(90.0, 100.0)], 10),
    "beyond a tenth it does": (10, [(111.0, 100.0)], 12),
    "the highest of several decides": (2, [(50.0, 100.0), (300.0, 100.0)], 6),
    "a float's last digit asks for no replica more": (3, [(70.0, 30.0)], 7),
    "none running stays none": (0, [(500.0, 100.0)], 0),
    "no reading changes nothing": (3, [], 3),
}


@pytest.mark.parametrize("row", RATIOS)
def test_a_ratio(row: str) -> None:
    current, measures, replicas = RATIOS[row]
    assert ask(FREE, current, *measures).replicas == replicas


def test_the_bounds_hold_and_say_so() -> None:
    rules = Rules(2, 5, QUICK, QUICK)
    up, down = ask(rules, 4, (900.0, 100.0)), ask(rules, 4, (1.0, 100.0))
    assert (up.replicas, up.limited_by) == (5, "maxReplicas")
    assert (down.replicas, down.limited_by) == (2, "minReplicas")


def history(rules: Rules, current: int, values: list[float], step: float = 15.0) -> list[int]:
    past, seen = Past(), []
    for tick, value in enumerate(values):
        advice = advise(rules, [Measure("cpu", value, 100.0)], current, past, tick * step)
        current, past = advice.replicas, advice.past
        seen.append(current)
    return seen


def test_by_default_it_doubles_or_adds_four_each_15_seconds() -> None:
    assert history(Rules(1, 100), 1, [900.0] * 4) == [5, 10, 20, 40]


def test_by_default_it_waits_five_minutes_before_it_goes_down() -> None:
    seen = history(Rules(1, 100), 8, [25.0] * 22)
    assert seen[:20] == [8] * 20
    assert seen[21] == 2


def test_a_restart_takes_nothing_away_at_once() -> None:
    assert ask(Rules(1, 100), 8, (25.0, 100.0)).limited_by == "the stabilization window"


def test_a_rate_policy_slows_going_down() -> None:
    slow = Direction(0, (RatePolicy("Pods", 1, 60),))
    assert history(Rules(1, 100, QUICK, slow), 8, [10.0] * 9) == [7, 7, 7, 7, 6, 6, 6, 6, 5]


def test_the_strictest_policy_counts_where_told() -> None:
    policies = (RatePolicy("Percent", 100, 15), RatePolicy("Pods", 1, 15))
    strict = Rules(1, 100, Direction(0, policies, "Min"), QUICK)
    assert ask(strict, 4, (900.0, 100.0)).replicas == 5
    assert ask(Rules(1, 100, Direction(0, policies), QUICK), 4, (900.0, 100.0)).replicas == 8


def test_a_direction_may_be_off() -> None:
    never = Direction(0, (), "Disabled")
    assert ask(Rules(1, 100, never, QUICK), 4, (900.0, 100.0)).replicas == 4
    assert ask(Rules(1, 100, QUICK, never), 4, (1.0, 100.0)).replicas == 4
