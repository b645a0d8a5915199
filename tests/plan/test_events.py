"""Which events are recorded between two statuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sampan.plan.build import build_plan
from sampan.plan.events import derive_events
from sampan.plan.observed import NOTHING, Link, LinkState
from sampan.plan.status import derive_status


class Story:
    """A service, and the events of each look at it."""

    def __init__(self, make, service=None, **snapshot):
        self.make = make
        self.snapshot = make.snapshot(service, **snapshot)

    @property
    def plan(self):
        return build_plan(self.snapshot)

    def edit(self, service=None, **snapshot):
        before = self.snapshot.service.get("status") or {}
        service = {**(service or self.snapshot.service), "status": before}
        self.snapshot = replace(self.snapshot, service=service, **snapshot)

    def look(self, observed, warnings=()):
        self.snapshot = replace(self.snapshot, now=self.snapshot.now + 1)
        plan, before = self.plan, dict(self.snapshot.service.get("status") or {})
        after = derive_status(self.snapshot, plan, observed)
        service = {**self.snapshot.service, "status": after}
        self.snapshot = replace(self.snapshot, service=service)
        assert derive_events(after, after, plan, observed, warnings) == ()
        return [
            (e.type, e.reason, e.message)
            for e in derive_events(before, after, plan, observed, warnings)
        ]

    def ready(self):
        return self.look(self.make.observed(self.plan, self.make.replica(self.plan)))


@pytest.fixture
def story(make):
    return lambda *a, **k: Story(make, *a, **k)


LOST = "InferenceService [iris] is no longer Ready because of:"
READY = ("Normal", "InferenceServiceReady", "InferenceService [iris] is Ready")


def test_nothing_is_said_while_it_begins(story):
    assert story().look(NOTHING) == []


def test_becoming_ready_is_told_once(story):
    here = story()
    assert here.look(NOTHING) == []
    assert here.ready() == [READY]
    assert here.ready() == []


def test_being_ready_at_the_first_look_is_told(story):
    assert story().ready() == [READY]


def test_a_crash_tells_the_loss_and_the_failure(story, make):
    here = story()
    here.ready()
    events = here.look(make.observed(here.plan, make.crash(here.plan)))
    assert events == [
        (
            "Warning",
            "InferenceServiceNotReady",
            f"{LOST} IngressReady, PredictorReady, Ready, Stopped",
        ),
        (
            "Warning",
            "CrashLoopBackOff",
            '"iris-predictor-0" ended with exit code "1": ValueError: not a model',
        ),
    ]
    assert here.ready() == [READY]


def test_the_same_failure_is_told_once_and_the_next_again(story, make):
    here = story()
    crash = make.crash(here.plan)
    assert len(here.look(make.observed(here.plan, crash))) == 1
    assert here.look(make.observed(here.plan, crash)) == []
    later = replace(crash.last_exit, finished_at=crash.last_exit.finished_at + 30)
    assert len(here.look(make.observed(here.plan, replace(crash, last_exit=later)))) == 1


def test_stopping_tells_the_loss_without_the_word_stopped(story, make):
    here = story()
    here.ready()
    here.edit(make.service(meta_annotations={"serving.kserve.io/stop": "true"}))
    assert here.look(NOTHING) == [
        (
            "Warning",
            "InferenceServiceNotReady",
            f"{LOST} IngressReady, PredictorReady, Ready",
        )
    ]


def test_turning_unknown_is_no_loss(story, make):
    here = story()
    here.ready()
    here.edit(cluster_runtimes=())
    events = here.look(NOTHING)
    assert [reason for _, reason, _ in events] == ["NoSupportingRuntime"]


def test_a_block_is_told_in_its_own_words_once(story):
    here = story(cluster_runtimes=())
    blocked = here.plan.blocked
    assert here.look(NOTHING) == [("Warning", blocked.reason, blocked.message)]
    assert here.look(NOTHING) == []


def test_a_block_that_comes_back_is_told_again(story, make):
    here = story(cluster_runtimes=())
    here.look(NOTHING)
    here.edit(cluster_runtimes=(make.runtime(),))
    assert here.ready() == [READY]
    here.edit(cluster_runtimes=())
    observed = make.observed(build_plan(make.snapshot()), make.replica(build_plan(make.snapshot())))
    assert [reason for _, reason, _ in here.look(observed)] == ["NoSupportingRuntime"]


def test_a_block_keeps_its_own_reason_where_the_status_has_a_fixed_list(story, make):
    here = story(make.service(model={"confidential": {"enabled": True}}))
    assert [reason for _, reason, _ in here.look(NOTHING)] == ["ConfidentialNotSupported"]


def test_a_failed_download_is_told(story, make):
    here = story()
    failed = Link(LinkState.FAILED, "NotFound", 'no file "x"; put it there', make.now)
    assert here.look(make.observed(here.plan, download=failed)) == [
        ("Warning", "NotFound", 'no file "x"; put it there')
    ]


def test_a_way_in_that_is_lost_is_told_once_in_the_words_of_its_link(story, make):
    here = story()
    here.ready()
    lost = Link(LinkState.FAILED, "EnvoyExited", "Envoy ended; see its log", make.now)
    observed = replace(make.observed(here.plan, make.replica(here.plan)), route=lost)
    assert here.look(observed) == [
        ("Warning", "InferenceServiceNotReady", f"{LOST} IngressReady, Ready, Stopped"),
        ("Warning", "EnvoyExited", "Envoy ended; see its log"),
    ]
    assert here.look(observed) == []


# Fields that are not acted on


def fields(events):
    return [message.partition(":")[0] for _, reason, message in events if "Field" in reason]


def test_each_field_that_is_not_acted_on_is_told_once_a_generation(story, make):
    here = story(make.service(scaleMetricType="Value", logger={}))
    first = ["spec.predictor.scaleMetricType", "spec.predictor.logger"]
    assert fields(here.look(NOTHING)) == first
    assert fields(here.look(NOTHING)) == []
    here.edit(make.service(logger={}, generation=2))
    assert fields(here.look(NOTHING)) == ["spec.predictor.logger"]


def test_what_platform_and_observation_do_not_honour_is_told_beside_it(story, make):
    here = story(make.service(logger={}))
    observed = replace(NOTHING, warnings=(("seen", "is not honoured"),))
    platform = (("nodeSelector", "is not honoured"), ("seen", "is not honoured"))
    assert fields(here.look(observed, platform)) == [
        "spec.predictor.logger", "seen", "nodeSelector",
    ]  # fmt: skip
