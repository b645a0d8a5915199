"""The mechanics of conditions: what marking one does to the others."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sampan.api.condition_set import (
    Condition,
    Conditions,
    ConditionSet,
    ConditionStatus,
    decode_conditions,
    find,
)
from sampan.api.inferenceservice.conditions import SERVICE_CONDITIONS

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
SET = ConditionSet(dependents=("A", "B"))


def ready(conditions: Conditions) -> tuple[str, str]:
    found = find(conditions, "Ready")
    assert found is not None
    return str(found.status), found.reason


def mark(conditions: Conditions, type_: str, status: Any, reason: str = "", at: float = 0) -> Any:
    return SET.mark(conditions, Condition(type_, status, reason), at)


def test_a_new_object_knows_nothing() -> None:
    made = SERVICE_CONDITIONS.initialise((), 0)
    assert [c.encode() for c in made] == [
        {"lastTransitionTime": "1970-01-01T00:00:00Z", "status": "Unknown", "type": name}
        for name in ("IngressReady", "PredictorReady", "Ready")
    ]


def test_ready_is_true_when_every_dependent_is() -> None:
    conditions = mark(SET.initialise((), 0), "A", TRUE)
    assert ready(conditions) == ("Unknown", "")
    assert ready(mark(conditions, "B", TRUE)) == ("True", "")


def test_ready_is_unknown_while_a_dependent_was_never_said() -> None:
    assert ready(mark((), "A", TRUE)) == ("Unknown", "")


def test_ready_repeats_why_a_dependent_is_false() -> None:
    assert ready(mark(SET.initialise((), 0), "A", FALSE, "Broken")) == ("False", "Broken")


def test_the_dependent_that_failed_last_is_repeated_once_another_is_true() -> None:
    three = ConditionSet(dependents=("A", "B", "C"))
    conditions: Conditions = ()
    for type_, status, at in (("A", FALSE, 1), ("B", FALSE, 2), ("C", TRUE, 3)):
        conditions = three.mark(conditions, Condition(type_, status, type_), at)
    assert ready(conditions) == ("False", "B")


def test_false_outranks_unknown() -> None:
    conditions = mark(SET.initialise((), 0), "A", FALSE, "Broken")
    assert ready(mark(conditions, "B", UNKNOWN, "Waiting")) == ("False", "Broken")


def test_other_conditions_are_informational_and_never_reach_ready() -> None:
    conditions = mark(mark((), "A", TRUE), "B", TRUE)
    conditions = mark(conditions, "Extra", FALSE, "Broken")
    extra = find(conditions, "Extra")
    assert extra is not None
    assert extra.severity == "Info"
    assert ready(conditions) == ("True", "")


def test_the_time_moves_only_when_something_else_does() -> None:
    once = mark((), "A", FALSE, "Broken", at=10)
    assert mark(once, "A", FALSE, "Broken", at=20) == once
    other = find(mark(once, "A", FALSE, "Slow", at=20), "A")
    assert other is not None
    assert other.last_transition_time == "1970-01-01T00:00:20Z"


def test_clearing_leaves_the_dependents() -> None:
    conditions = mark(SET.initialise((), 0), "Extra", TRUE)
    assert find(SET.clear(conditions, "Extra"), "Extra") is None
    assert find(SET.clear(conditions, "A"), "A") is not None


MARKS = st.lists(
    st.tuples(st.sampled_from(["A", "B", "Extra"]), st.sampled_from([TRUE, FALSE, UNKNOWN])),
    max_size=12,
)


@given(MARKS)
def test_ready_always_follows_from_the_dependents(marks: list[tuple[str, ConditionStatus]]) -> None:
    conditions = SET.initialise((), 0)
    for at, (type_, status) in enumerate(marks):
        conditions = mark(conditions, type_, status, at=at)
    known = {c.type: c.status for c in conditions}
    dependents = {known["A"], known["B"]}
    worst = FALSE if FALSE in dependents else UNKNOWN if UNKNOWN in dependents else TRUE
    assert known["Ready"] is worst
    assert [c.type for c in conditions] == sorted(known)


@given(MARKS)
def test_conditions_survive_storing(marks: list[tuple[str, ConditionStatus]]) -> None:
    conditions = SET.initialise((), 0)
    for at, (type_, status) in enumerate(marks):
        conditions = mark(conditions, type_, status, "Why", at=at)
    assert decode_conditions([c.encode() for c in conditions]) == conditions
