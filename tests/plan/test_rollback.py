"""When a new revision is taken back by itself, and when it is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.plan.rollback import (
    LEAST_REQUESTS,
    Limits,
    Tally,
    judge,
    read_limits,
    rollback_warnings,
    select_recent,
)
from sampan.plan.rollout_notes import NOTE
from sampan.plan.types import Component

from .rollout_stage import RolloutStage

NAME = "iris-predictor-00002"
ERRORS = Limits(error_percent=10)
SLOW = Limits(latency=0.1)


def pair(total: int, errors: int = 0, slow: int = 0) -> tuple[Tally, Tally]:
    """Two readings ten seconds apart, between which so much happened."""
    before = Tally(100.0, 7, 3, ((0.05, 2), (0.1, 5), (1.0, 7)))
    fast = total - slow
    within = ((0.05, 2), (0.1, 5 + fast), (1.0, 7 + total))
    return before, Tally(110.0, 7 + total, 3 + errors, within)


@pytest.mark.parametrize(
    ("tallies", "limits", "told"),
    [
        pytest.param(pair(100, errors=11), ERRORS, "11 of 100 requests", id="too many errors"),
        pytest.param(pair(100, errors=10), ERRORS, "", id="as many errors as it may"),
        pytest.param(pair(LEAST_REQUESTS - 1, errors=19), ERRORS, "", id="too few requests"),
        pytest.param(pair(100, slow=6), SLOW, "6 of 100 answers", id="too many slow answers"),
        pytest.param(pair(100, slow=5), SLOW, "", id="a few slow answers"),
        pytest.param(pair(100, errors=100, slow=100), Limits(), "", id="no limits"),
        pytest.param(pair(100, errors=1), Limits(error_percent=0), "1 of 100", id="none allowed"),
        pytest.param(pair(100, errors=99)[:1], ERRORS, "", id="a single reading"),
        pytest.param((), ERRORS, "", id="no reading"),
    ],
)
def test_a_revision_is_judged(tallies: tuple[Tally, ...], limits: Limits, told: str) -> None:
    found = judge(NAME, tallies, limits, 20)
    assert (found is not None) is bool(told)
    if found:
        assert found.message.startswith(told)
        assert (found.revision, found.percent) == (NAME, 20)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0, 100))
def test_no_revision_without_errors_is_taken_back(total: int, errors: int, percent: float) -> None:
    found = judge(NAME, pair(total, min(errors, total)), Limits(error_percent=percent), None)
    if found is not None:
        assert min(errors, total) * 100 > percent * total


def test_what_is_older_than_the_window_counts_no_more() -> None:
    tallies = [Tally(float(second), second, 0) for second in range(60)]
    recent = select_recent(tallies, 10.0, 59.0)
    assert (recent[0].at, recent[-1].at) == (49.0, 59.0)


def test_counters_that_begin_anew_with_envoy_are_compared_among_themselves() -> None:
    tallies = [Tally(1.0, 500, 400), Tally(2.0, 510, 400), Tally(3.0, 0, 0), Tally(4.0, 30, 0)]
    assert [t.at for t in select_recent(tallies, 60.0, 4.0)] == [3.0, 4.0]


ANNOTATIONS = {
    "serving.sampan.dev/rollback-error-percent": ("2.5", "lots", '"lots" is no percent'),
    "serving.sampan.dev/rollback-latency": ("500ms", "slow", '"slow" is no duration'),
    "serving.sampan.dev/rollback-window": ("1m", "0", '"0" is not more than 0'),
}


def test_limits_are_read(make):
    given_ = {key: good for key, (good, _, _) in ANNOTATIONS.items()}
    service = make.service(meta_annotations=given_)
    assert read_limits(service) == Limits(2.5, 0.5, 60.0)
    assert list(rollback_warnings(service)) == []


@pytest.mark.parametrize("key", ANNOTATIONS)
def test_a_limit_that_cannot_be_read_is_told(make, key):
    _, bad, words = ANNOTATIONS[key]
    ((path, sentence),) = rollback_warnings(make.service(meta_annotations={key: bad}))
    assert key in path
    assert words in sentence


def test_limits_of_a_list_of_canaries_are_told_to_have_no_effect(make):
    service = make.service(
        meta_annotations={"serving.sampan.dev/rollback-error-percent": "5"}, canary=[{}]
    )
    (_, text), *_ = rollback_warnings(service)
    assert text.startswith("is not acted on for")


class TestARevisionThatWasTakenBack:
    @pytest.fixture
    def stage(self, make):
        stage = RolloutStage(make)
        for version, fields in (("v1", {}), ("v2", {"canaryTrafficPercent": 20})):
            stage.put(self.service(make, version, **fields), ready=True)
        stage.verdicts = {Component.PREDICTOR: judge(NAME, pair(100, errors=50), ERRORS, 20)}
        stage.settle()
        return stage

    @staticmethod
    def service(make, version, **fields):
        return make.service(model={"storageUri": f"file:///models/{version}"}, **fields)

    def test_gets_nothing_and_says_why(self, stage):
        assert stage.shares() == {"iris-predictor": 100}
        assert any(e.startswith("CanaryErrorRateExceeded: 50 of 100") for e in stage.events)
        told = {c["type"]: c for c in stage.status["conditions"]}["CanaryPredictorReady"]
        assert (told["status"], told["reason"]) == ("False", "CanaryErrorRateExceeded")

    def test_is_remembered_when_who_found_it_is_gone(self, stage):
        stage.verdicts = {}
        stage.settle()
        assert NOTE in stage.status["annotations"]
        assert stage.shares() == {"iris-predictor": 100}
        assert sum(e.startswith("CanaryErrorRateExceeded") for e in stage.events) == 1

    def test_is_tried_again_with_another_share(self, stage, make):
        stage.verdicts = {}
        stage.put(self.service(make, "v2", canaryTrafficPercent=5), ready=True)
        assert stage.shares() == {"iris-predictor": 95, NAME: 5}

    def test_gets_nothing_either_while_the_next_one_starts(self, stage, make):
        stage.verdicts = {}
        stage.put(self.service(make, "v3", canaryTrafficPercent=50))
        assert stage.shares() == {"iris-predictor": 100}
        stage.settle(ready=True)
        assert stage.shares() == {"iris-predictor": 50, "iris-predictor-00003": 50}

    def test_is_promoted_by_who_insists(self, stage, make):
        stage.verdicts = {}
        stage.put(self.service(make, "v2"), ready=True)
        assert stage.shares() == {NAME: 100}
