"""modelStatus: where the model of the newest template is, and what last failed."""

from __future__ import annotations

import pytest

from sampan.plan.build import build_plan
from sampan.plan.model_status import derive_model_status
from sampan.plan.observed import Exit, Link, LinkState

RUNNING, FAILED = LinkState.RUNNING, LinkState.FAILED


@pytest.fixture(scope="session")
def plan(make):
    """The plan of a plain service."""
    return build_plan(make.snapshot())


def derive(make, plan, *replicas, before=None, now=None, **fields):
    observed = make.observed(plan, *replicas, **fields)
    return derive_model_status(before or {}, plan, observed, now or make.now)


STATES = {
    "a download that waits": ({"download": Link()}, "Pending"),
    "a download under way": ({"download": Link(RUNNING)}, "Loading"),
    "a download that failed": ({"download": Link(FAILED, "X", "y")}, "FailedToLoad"),
    "an environment that is built": ({"environment": Link(RUNNING)}, "Pending"),
    "an environment that failed": ({"environment": Link(FAILED, "X", "y")}, "FailedToLoad"),
    "no replica yet": ({}, "Pending"),
}


@pytest.mark.parametrize("case", STATES.values(), ids=STATES.keys())
def test_the_target_before_a_replica(make, plan, case):
    fields, state = case
    status = derive(make, plan, **fields)
    assert status["states"] == {"activeModelState": "", "targetModelState": state}


REPLICAS = {
    "not started": ({"running": False, "ready": False, "load": Link()}, "Pending", "InProgress"),
    "loading": ({"ready": False, "load": Link(RUNNING)}, "Loading", "InProgress"),
    "ready": ({}, "Loaded", "UpToDate"),
    "ready once and not now": ({"ready": False}, "Pending", "InProgress"),
    "that could not load": (
        {"ready": False, "load": Link(FAILED, "ModelMissing", "x")},
        "FailedToLoad", "BlockedByFailedLoad",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REPLICAS.values(), ids=REPLICAS.keys())
def test_the_target_by_a_replica(make, plan, case):
    fields, state, transition = case
    status = derive(make, plan, make.replica(plan, **fields))
    assert status["states"]["targetModelState"] == state
    assert status["transitionStatus"] == transition


def test_a_route_that_does_not_pass_says_nothing_of_the_model(make, plan):
    status = derive(make, plan, make.replica(plan), route=Link(FAILED, "X", "y"))
    assert status["transitionStatus"] == "UpToDate"


def test_the_active_state_keeps_the_last_that_was_loaded(make, plan):
    before = derive(make, plan, make.replica(plan))
    status = derive(make, plan, make.crash(plan), before=before)
    assert status["states"] == {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"}


# The last failure


def test_a_crash_is_told_with_code_place_time_and_log(make, plan):
    failure = derive(make, plan, make.crash(plan))["lastFailureInfo"]
    assert failure == {
        "reason": "ModelLoadFailed",
        "message": "Traceback (most recent call last):\nValueError: not a model",
        "exitCode": 1,
        "location": "iris-predictor-0",
        "time": "2027-01-15T07:59:40Z",
    }


def test_a_telling_reason_is_told_in_its_own_words(make, plan):
    ended = Exit(
        code=1, reason="ModelUntrusted", message='class "os.system" is not on the list; trust it',
        last_lines=("noise",), started_at=1.0, finished_at=2.0,
    )  # fmt: skip
    failure = derive(make, plan, make.crash(plan, last_exit=ended))["lastFailureInfo"]
    assert failure["message"] == 'class "os.system" is not on the list; trust it'
    assert failure["exitCode"] == 1


def test_an_exit_that_nobody_reaped_has_no_code(make, plan):
    ended = Exit(code=None, reason="ContainerStatusUnknown", started_at=1.0, finished_at=2.0)
    failure = derive(make, plan, make.crash(plan, last_exit=ended))["lastFailureInfo"]
    assert "exitCode" not in failure
    assert "an unknown exit code" in failure["message"]


def test_a_long_log_keeps_its_end(make, plan):
    lines = tuple(f"line {n}" for n in range(1000))
    ended = Exit(code=1, last_lines=lines, started_at=1.0, finished_at=2.0)
    message = derive(make, plan, make.crash(plan, last_exit=ended))["lastFailureInfo"]["message"]
    assert len(message) == 2048
    assert message.endswith("line 999")


FAILURES = {
    "of a download": ({"download": Link(FAILED, "NotFound", "no x", 5.0)}, "ModelLoadFailed"),
    "of an environment": ({"environment": Link(FAILED, "Bad", "no x", 5.0)}, "RuntimeUnhealthy"),
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure(make, plan, case):
    fields, reason = case
    assert derive(make, plan, **fields)["lastFailureInfo"] == {
        "reason": reason, "message": "no x", "time": "1970-01-01T00:00:05Z",
    }  # fmt: skip


def test_a_failure_without_a_time_is_dated_once(make, plan):
    failed = Link(FAILED, "NotFound", "no x")
    first = derive(make, plan, download=failed)
    second = derive(make, plan, before=first, now=make.now + 60, download=failed)
    assert second == first


def test_a_failure_stays_once_it_is_overcome(make, plan):
    before = derive(make, plan, make.crash(plan))
    status = derive(make, plan, make.replica(plan), before=before)
    assert status["transitionStatus"] == "UpToDate"
    assert status["lastFailureInfo"] == before["lastFailureInfo"]


def test_a_replica_that_starts_again_is_still_failed_until_it_has_loaded(make, plan):
    before = derive(make, plan, make.crash(plan))
    again = make.crash(plan, running=True, load=Link(RUNNING, "Loading"), back_off_until=0.0)
    status = derive(make, plan, again, before=before)
    assert status["transitionStatus"] == "BlockedByFailedLoad"
    assert status["lastFailureInfo"] == before["lastFailureInfo"]


def test_a_new_template_that_loads_is_not_failed(make, plan):
    before = derive(make, plan, make.crash(plan))
    fresh = make.replica(plan, 1, ready=False, load=Link(RUNNING, "Loading"))
    assert derive(make, plan, fresh, before=before)["transitionStatus"] == "InProgress"


def test_a_fixed_spec_that_loads_is_not_failed(make, plan):
    blocked = build_plan(make.snapshot(cluster_runtimes=()))
    before = derive_model_status({}, blocked, make.observed(plan), make.now)
    fresh = make.replica(plan, 1, ready=False, load=Link(RUNNING, "Loading"))
    assert derive(make, plan, fresh, before=before)["transitionStatus"] == "InProgress"


# Copies


def test_copies_are_those_that_are_ready_of_any_template(make, plan):
    copies = derive(
        make, plan, make.replica(plan, 0), make.replica(plan, 1, template_hash="v1-old"),
        make.replica(plan, 2, ready=False), make.crash(plan, 3),
        make.replica(plan, 4, draining=True),
    )["copies"]  # fmt: skip
    assert copies == {"failedCopies": 1, "totalCopies": 2}


def test_without_a_ready_copy_there_is_no_total(make, plan):
    assert derive(make, plan)["copies"] == {"failedCopies": 0}
