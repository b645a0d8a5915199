"""Conditions keep their times, and Ready repeats the cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.inferenceservice.conditions import INGRESS_READY, PREDICTOR_READY, STOPPED
from sampan.plan.conditions import condition_status, derive_conditions

NOW = 1_800_000_000.0
TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def made(*wanted, before=(), now=NOW):
    return {c["type"]: c for c in derive_conditions(before, wanted, now)}


READY = {
    "both are true": (TRUE, TRUE, "True", None),
    "the predictor is not": (FALSE, TRUE, "False", "PredictorReason"),
    "the ingress is not": (TRUE, FALSE, "False", "IngressReason"),
    "neither is: the predictor is the cause": (FALSE, FALSE, "False", "PredictorReason"),
    "the predictor is unknown": (UNKNOWN, TRUE, "Unknown", "PredictorReason"),
    "the ingress is unknown": (TRUE, UNKNOWN, "Unknown", "IngressReason"),
    "false says more than unknown": (UNKNOWN, FALSE, "False", None),
}


@pytest.mark.parametrize("case", READY.values(), ids=READY.keys())
def test_ready_when(case):
    predictor, ingress, status, reason = case
    found = made(
        Condition(PREDICTOR_READY, predictor, "PredictorReason", "why"),
        Condition(INGRESS_READY, ingress, "IngressReason", "why"),
    )["Ready"]
    assert found["status"] == status
    if reason or status == "True":
        assert found.get("reason") == reason


def test_other_conditions_are_information_and_do_not_move_ready():
    found = made(
        Condition(PREDICTOR_READY, TRUE), Condition(INGRESS_READY, TRUE), Condition(STOPPED, FALSE)
    )
    assert found["Stopped"]["severity"] == "Info"
    assert "severity" not in found["Ready"]
    assert found["Ready"]["status"] == "True"


def test_they_are_sorted_by_type():
    wanted = (Condition(STOPPED, FALSE), Condition(PREDICTOR_READY, TRUE))
    types = [c["type"] for c in derive_conditions((), wanted, NOW)]
    assert types == sorted(types)


def test_a_condition_that_nobody_makes_any_more_vanishes():
    before = derive_conditions((), (Condition("TransformerReady", TRUE),), NOW)
    assert "TransformerReady" not in made(Condition(PREDICTOR_READY, TRUE), before=before)


CHANGES = {
    "its status": Condition(PREDICTOR_READY, TRUE, "A", "a"),
    "its reason": Condition(PREDICTOR_READY, FALSE, "B", "a"),
    "its message": Condition(PREDICTOR_READY, FALSE, "A", "b"),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES.keys())
def test_the_time_moves_with(changed):
    first = Condition(PREDICTOR_READY, FALSE, "A", "a")
    before = derive_conditions((), (first,), NOW)
    assert made(changed, before=before, now=NOW + 60)[PREDICTOR_READY]["lastTransitionTime"] == (
        "2027-01-15T08:01:00Z"
    )


def test_the_time_stays_while_nothing_changes():
    wanted = (Condition(PREDICTOR_READY, FALSE, "A", "a"), Condition(INGRESS_READY, FALSE, "B"))
    before = derive_conditions((), wanted, NOW)
    assert derive_conditions(before, wanted, NOW + 60) == before


conditions = st.builds(
    Condition,
    type=st.just(PREDICTOR_READY),
    status=st.sampled_from(ConditionStatus),
    reason=st.sampled_from(["", "A", "B"]),
    message=st.sampled_from(["", "a", "b"]),
)
pairs = st.tuples(
    conditions, conditions.map(lambda c: Condition(INGRESS_READY, c.status, c.reason))
)


@given(st.lists(pairs, min_size=1, max_size=5))
def test_deriving_again_later_changes_nothing(history):
    before = []
    for step, wanted in enumerate(history):
        before = derive_conditions(before, wanted, NOW + step)
        assert derive_conditions(before, wanted, NOW + 1000) == before


@given(pairs)
def test_ready_is_true_exactly_when_both_dependents_are(wanted):
    found = made(*wanted)
    both = all(c.status is TRUE for c in wanted)
    assert (found["Ready"]["status"] == "True") is both


def test_the_status_of_a_condition_that_is_not_there_is_none():
    status = {"conditions": derive_conditions((), (Condition(PREDICTOR_READY, TRUE),), NOW)}
    assert condition_status(status, PREDICTOR_READY) is TRUE
    assert condition_status(status, STOPPED) is None
    assert condition_status({}, PREDICTOR_READY) is None
