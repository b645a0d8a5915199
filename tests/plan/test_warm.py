"""When a service that may sleep is kept warm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.plan.rollout_settings import WARM
from sampan.plan.warm import derive_warmth, is_warm, parse_warm_times, warm_warnings

from .rollout_stage import RolloutStage

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
OFFICE = "Mon-Fri 08:00-18:00"


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of the week, of which day 0 is Monday."""
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("text", "moment", "warm"),
    [
        pytest.param(OFFICE, at(0, 8), True, id="from its beginning"),
        pytest.param(OFFICE, at(4, 17, 59), True, id="until its end"),
        pytest.param(OFFICE, at(4, 18), False, id="and no longer"),
        pytest.param(OFFICE, at(5, 12), False, id="not at the weekend"),
        pytest.param("daily 9-17", at(6, 9), True, id="on every day"),
        pytest.param("Sat 10-12", at(5, 11), True, id="on one day"),
        pytest.param("fri-mon 10-12", at(0, 11), True, id="over the end of the week"),
        pytest.param("fri-mon 10-12", at(2, 11), False, id="on no other day"),
        pytest.param("Mon 22:00-06:00", at(1, 5, 59), True, id="into the next morning"),
        pytest.param("Mon 22:00-06:00", at(1, 6), False, id="until then"),
        pytest.param("Mon 22:00-06:00", at(0, 5), False, id="not before its evening"),
        pytest.param("Mon 8-9; Tue 10-11", at(1, 10), True, id="at the second of two times"),
        pytest.param("daily 20-24", at(3, 23, 59), True, id="until midnight"),
    ],
)
def test_it_is_warm(text: str, moment: datetime, warm: bool) -> None:
    assert is_warm(parse_warm_times(text), moment) is warm


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("always", '"always" is no time of the week; write it as "Mon-Fri 08:00-18:00"'),
        ("Mon 8:00", '"Mon 8:00" is no time'),
        ("Mon 8:61-9:00", "is no time"),
        ("Mon 25-26", "names an hour after 24:00"),
        ("Mon 8-8", '"Mon 8-8" begins when it ends'),
        (f"{OFFICE};", '"" is no time'),
    ],
)
def test_what_is_no_time_is_told_and_has_no_effect(make, text: str, words: str) -> None:
    service = make.service(meta_annotations={WARM: text})
    ((path, sentence),) = warm_warnings(service)
    assert WARM in path
    assert words in sentence
    assert not derive_warmth(service, at(0, 12).timestamp()).warm


DAY = st.sampled_from(["daily", "mon-fri", "tue", "sat-sun"])
TIMES = st.builds(
    lambda day, begin, length: f"{day} {begin:02}:00-{(begin + length) % 24:02}:00",
    DAY, st.integers(0, 23), st.integers(1, 23),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(TIMES, min_size=1, max_size=3), st.integers(0, 7 * 24 * 60 - 1))
def test_nothing_changes_before_it_is_looked_at_again(texts: list[str], minute: int) -> None:
    now = MONDAY + timedelta(minutes=minute)
    service = {"metadata": {"annotations": {WARM: "; ".join(texts)}}}
    found = derive_warmth(service, now.timestamp())
    assert found.changes_at > now.timestamp()
    times = parse_warm_times("; ".join(texts))
    for later in range(0, int(found.changes_at - now.timestamp()) // 60, 17):
        assert is_warm(times, now + timedelta(minutes=later)) is found.warm


def test_a_service_that_may_sleep_keeps_a_replica_meanwhile(make) -> None:
    stage = RolloutStage(make)
    annotations = {WARM: OFFICE, "serving.kserve.io/deploymentMode": "Knative"}
    stage.now = at(0, 7).timestamp()
    stage.put(make.service(minReplicas=0, meta_annotations=annotations), ready=True)
    assert stage.plan.workloads[0].scaling.minimum == 0
    assert stage.plan.rollouts[0].wake_at == at(0, 8).timestamp()
    stage.now = at(0, 8).timestamp()
    stage.settle(ready=True)
    assert stage.plan.workloads[0].scaling.minimum == 1
    assert stage.plan.rollouts[0].wake_at == at(0, 18).timestamp()
    assert len(stage.history.revisions) == 1


def test_without_the_annotation_nobody_looks_at_a_clock(make) -> None:
    assert derive_warmth(make.service(), 0.0).changes_at == 0
