"""From a decision to replicas: bounds, phases, and when the last one may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.autoscaler.bounds import Bounded, Standing, bound, ready_minimum
from sampan.autoscaler.decide import Reading, decide, start_memory
from sampan.autoscaler.reason import render_reason
from sampan.autoscaler.settings import Defaults, Settings
from sampan.autoscaler.zero import Activity, Idle, Patience, derive_activity, let_idle

BOUNDS = {
    "within the bounds nothing changes": (Settings(), 3, Standing(), Bounded(3)),
    "zero is allowed by default": (Settings(), 0, Standing(), Bounded(0)),
    "the minimum holds": (Settings(minimum=2), 0, Standing(), Bounded(2, "min-scale")),
    "without a route it does not": (Settings(minimum=2), 0, Standing(reachable=False), Bounded(0)),
    "the maximum holds": (Settings(maximum=4), 9, Standing(), Bounded(4, "max-scale")),
    "a maximum of 0 is none": (Settings(maximum=0), 9, Standing(), Bounded(9)),
    "a first start is as large as told": (
        Settings(initial=3),
        1,
        Standing(initialised=False),
        Bounded(3, "initial-scale"),
    ),
    "a later start is not": (Settings(initial=3), 1, Standing(), Bounded(1)),
    "scaling to zero may be off": (
        Settings(defaults=Defaults(enable_scale_to_zero=False)),
        0,
        Standing(),
        Bounded(1, "enable-scale-to-zero"),
    ),
    "a full machine caps and says so": (
        Settings(),
        9,
        Standing(room=2),
        Bounded(2, "the machine's room"),
    ),
}


@pytest.mark.parametrize("row", BOUNDS)
def test_a_bound(row: str) -> None:
    settings, desired, standing, expected = BOUNDS[row]
    assert bound(settings, desired, standing) == expected


def test_a_revision_is_active_with_its_minimum_and_first_with_its_start_size() -> None:
    assert ready_minimum(Settings(minimum=0), initialised=True) == 1
    assert ready_minimum(Settings(minimum=2), initialised=True) == 2
    assert ready_minimum(Settings(minimum=2, initial=5), initialised=False) == 5


ACTIVE, INACTIVE = Activity("Active", 0.0), Activity("Inactive", 100.0, held_since=100.0)
KNATIVE = Patience(grace=30.0)

IDLE = {
    "an active one keeps one replica for its first stable window": (
        (ACTIVE, 59.0, {}),
        Idle(ACTIVE, 1, hold=False, again=1.0),
    ),
    "after it the route is held and the replica stays": (
        (ACTIVE, 60.0, {}),
        Idle(Activity("Inactive", 60.0, 60.0), None, hold=True, again=0.0, reason="NoTraffic"),
    ),
    "it stays until the activator is known to answer": (
        (INACTIVE, 999.0, {"confirmed": False}),
        Idle(INACTIVE, None, hold=True),
    ),
    "then it goes at once on one machine": (
        (INACTIVE, 100.0, {"confirmed": True}),
        Idle(INACTIVE, 0, hold=True, reason="NoTraffic"),
    ),
    "on Knative's terms 30 s after it was held": (
        (INACTIVE, 110.0, {"confirmed": True, "patience": KNATIVE}),
        Idle(INACTIVE, None, hold=True, again=20.0),
    ),
    "at once where it was held all along": (
        (
            Activity("Inactive", 100.0, held_since=10.0),
            100.0,
            {"confirmed": True, "patience": KNATIVE},
        ),
        Idle(Activity("Inactive", 100.0, 10.0), 0, hold=True, reason="NoTraffic"),
    ),
    "a starting one has its deadline and 30 s": (
        (Activity("Activating", 0.0), 629.0, {}),
        Idle(Activity("Activating", 0.0), None, hold=True, again=1.0),
    ),
    "then it is given up": (
        (Activity("Activating", 0.0), 630.0, {}),
        Idle(Activity("Inactive", 630.0), 0, hold=True, reason="TimedOut"),
    ),
}


@pytest.mark.parametrize("row", IDLE)
def test_letting_idle(row: str) -> None:
    (activity, now, options), expected = IDLE[row]
    assert let_idle(Settings(), activity, now, **options) == expected


def test_retention_is_waited_for_and_not_by_a_revision_without_a_route() -> None:
    settings = Settings(pod_retention=60)
    waits = let_idle(settings, INACTIVE, 130.0, confirmed=True)
    assert (waits.replicas, waits.again) == (None, 30.0)
    assert let_idle(settings, INACTIVE, 160.0, confirmed=True).replicas == 0
    assert let_idle(settings, INACTIVE, 130.0, confirmed=True, reachable=False).replicas == 0


PHASES = {
    "too few are ready": (INACTIVE, 2, 0, 1, "Activating"),
    "enough are ready": (Activity("Activating", 0.0), 1, 1, 1, "Active"),
    "an active one that loses a replica stays active": (ACTIVE, 2, 0, 1, "Active"),
    "none is wanted": (INACTIVE, 0, 0, 1, "Inactive"),
}


@pytest.mark.parametrize("row", PHASES)
def test_a_phase(row: str) -> None:
    activity, desired, ready, least, phase = PHASES[row]
    assert derive_activity(activity, desired, ready, least, 500.0).phase == phase


@given(
    ready=st.integers(0, 9),
    loads=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    confirmed=st.booleans(),
)
def test_the_last_replica_never_goes_before_its_route_is_held(
    ready: int, loads: list[int], *, confirmed: bool
) -> None:
    settings, activity, held = Settings(stable_window=6), Activity("Active", 0.0), False
    for second, load in enumerate(loads):
        now = float(second)
        if load:
            activity, held = derive_activity(activity, 1, max(1, ready), 1, now), False
            continue
        idle = let_idle(settings, activity, now, confirmed=confirmed and held)
        assert idle.replicas != 0 or held
        activity, held = idle.activity, idle.hold


REASONS = {
    "the stable window": (
        Settings(),
        Reading(150, 20, 3),
        Standing(),
        "3 replicas: 150 requests in flight over 60 s, at 70 a replica",
    ),
    "the panic window": (
        Settings(),
        Reading(10, 350, 1),
        Standing(),
        (
            "5 replicas: 350 requests in flight over 6 s, at 70 a replica; rising fast, so none is "
            "taken away"
        ),
    ),
    "a bound": (
        Settings(maximum=2),
        Reading(210, 0, 3),
        Standing(),
        (
            "2 replicas: 210 requests in flight over 60 s, at 70 a replica; 3 replicas wanted, "
            "max-scale decides"
        ),
    ),
    "one replica": (
        Settings(metric="rps", target=140),
        Reading(3.5, 0, 1),
        Standing(),
        "1 replica: 3.5 requests a second over 60 s, at 140 a replica",
    ),
}


@pytest.mark.parametrize("row", REASONS)
def test_a_reason_names_the_numbers(row: str) -> None:
    settings, reading, standing, text = REASONS[row]
    decision, _ = decide(settings, reading, start_memory(1, 0.0), 0.0)
    bounded = bound(settings, decision.desired, standing)
    assert render_reason(settings, reading, decision, bounded) == text
