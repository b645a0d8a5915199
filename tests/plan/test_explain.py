"""What `why` answers: the first open link, its last words, and the mend."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sampan.plan.build import build_plan
from sampan.plan.explain import explain_selection, why
from sampan.plan.mends import MENDS, make_mend
from sampan.plan.observed import NOTHING, Exit, Link, LinkState

RUNNING, FAILED, DONE = LinkState.RUNNING, LinkState.FAILED, LinkState.DONE


def ask(make, service=None, observe=None, **snapshot):
    found = make.snapshot(service, **snapshot)
    plan = build_plan(found)
    return why(found, plan, observe(plan) if observe else NOTHING)


def test_a_ready_service_has_nothing_to_explain(make):
    answer = ask(make, observe=lambda p: make.observed(p, make.replica(p)))
    assert (answer.link, answer.state, answer.reason) == ("", DONE, "")
    assert answer.serving
    assert [link.name for link in answer.chain] == [
        "download", "environment", "process", "load", "ready", "route",
    ]  # fmt: skip


def test_a_stopped_service_is_told_how_to_start(make):
    answer = ask(make, make.service(meta_annotations={"serving.kserve.io/stop": "true"}))
    assert answer.link == "stopped"
    assert answer.mend == MENDS["Stopped"]


def test_a_block_is_told_in_the_words_of_the_condition(make):
    service = make.service(model={"modelFormat": {"name": "sklern"}})
    plan = build_plan(make.snapshot(service))
    answer = ask(make, service)
    assert plan.blocked is not None
    assert (answer.link, answer.state) == ("decision", FAILED)
    assert (answer.reason, answer.message) == (plan.blocked.reason, plan.blocked.message)
    assert answer.mend == MENDS["NoSupportingRuntime"]
    assert [r.runtime for r in answer.rejected] == ["kserve-sklearnserver"]


def test_a_block_that_is_not_about_runtimes_does_not_list_them(make):
    answer = ask(make, make.service(model={"confidential": {"enabled": True}}))
    assert answer.reason == "ConfidentialNotSupported"
    assert answer.rejected == ()


def test_a_block_says_whether_the_old_still_serves(make):
    before = build_plan(make.snapshot())
    answer = ask(
        make,
        make.service(model={"confidential": {"enabled": True}}),
        observe=lambda _: make.observed(before, make.replica(before)),
    )
    assert answer.serving


WAITS = {
    "a download under way": (
        {"download": Link(RUNNING, "Downloading", "3 of 9 MB")}, "download", "3 of 9 MB", "wait",
    ),
    "a download that waits": ({"download": Link()}, "download", "download is waiting", "wait"),
    "a download that failed": (
        {"download": Link(FAILED, "NotFound", 'no "x"')}, "download", 'no "x"', "storageUri",
    ),
    "an environment that failed": (
        {"environment": Link(FAILED, "EnvironmentFailed", "no network")},
        "environment", "no network", "doctor",
    ),
    "an image that does not run here": (
        {"environment": Link(FAILED, "ImageNotRunnable", 'image "a"')},
        "environment", 'image "a"', "runtime that runs here",
    ),
    "no replica yet": ({}, "process", "process is waiting", "wait"),
}  # fmt: skip


@pytest.mark.parametrize("case", WAITS.values(), ids=WAITS.keys())
def test_before_a_replica_runs(make, case):
    fields, link, message, mend = case
    answer = ask(make, observe=lambda p: make.observed(p, **fields))
    assert answer.link == link
    assert answer.message == message
    assert mend in answer.mend
    assert not answer.serving


def test_a_crash_shows_its_last_lines_and_where_they_are_from(make):
    answer = ask(make, observe=lambda p: make.observed(p, make.crash(p)))
    assert (answer.link, answer.reason) == ("load", "CrashLoopBackOff")
    assert answer.lines == ("Traceback (most recent call last):", "ValueError: not a model")
    assert answer.replica == "iris-predictor-0"
    assert answer.mend == MENDS["CrashLoopBackOff"]


def test_of_a_long_log_the_last_twenty_lines_are_shown(make):
    lines = tuple(str(n) for n in range(100))
    ended = Exit(code=1, last_lines=lines, started_at=1.0, finished_at=2.0)
    answer = ask(make, observe=lambda p: make.observed(p, make.crash(p, last_exit=ended)))
    assert answer.lines == lines[-20:]


REASONS = ["OOMKilled", "ModelUntrusted", "ModelMissing", "ModelCorrupt", "ModelIncompatible"]


@pytest.mark.parametrize("reason", REASONS)
def test_a_telling_end_has_its_own_mend(make, reason):
    ended = Exit(code=1, reason=reason, message="m", started_at=1.0, finished_at=2.0)
    answer = ask(make, observe=lambda p: make.observed(p, make.crash(p, last_exit=ended)))
    assert answer.reason == reason
    assert answer.mend == make_mend("load", reason, "iris")


def test_a_replica_that_starts_again_shows_why_it_ended(make):
    again = {"running": True, "load": Link(RUNNING, "Loading"), "back_off_until": 0.0}
    answer = ask(make, observe=lambda p: make.observed(p, make.crash(p, **again)))
    assert (answer.link, answer.state) == ("load", RUNNING)
    assert answer.lines[-1] == "ValueError: not a model"


def test_a_probe_that_no_longer_passes(make):
    answer = ask(make, observe=lambda p: make.observed(p, make.replica(p, ready=False)))
    assert (answer.link, answer.reason) == ("ready", "ReplicaNotReady")
    assert answer.mend == "read its log: sampan logs iris"


def test_a_route_that_does_not_pass(make):
    route = Link(FAILED, "EnvoyExited", "the gateway ended")
    answer = ask(make, observe=lambda p: make.observed(p, make.replica(p), route=route))
    assert (answer.link, answer.reason) == ("route", "EnvoyExited")
    assert "gateway" in answer.mend


def test_no_replica_wanted(make):
    none = {"serving.kserve.io/autoscalerClass": "none"}
    service = make.service(minReplicas=0, meta_annotations=none)
    answer = ask(make, service, observe=make.observed)
    assert (answer.link, answer.reason) == ("ready", "NoReplicas")
    assert answer.mend == MENDS["NoReplicas"]


def test_a_rollout_that_fails_says_that_the_old_still_serves(make):
    service = make.service(model={"args": ["--new"]})
    old = build_plan(make.snapshot())

    def observe(plan):
        return make.observed(plan, make.replica(old), make.crash(plan, 1))

    answer = ask(make, service, observe=observe)
    assert answer.link == "load"
    assert answer.serving


def test_the_choice_of_runtime_explains_each_other_one(make):
    runtimes = (make.runtime("a"), make.runtime("b", disabled=True))
    choice = explain_selection(make.snapshot(cluster_runtimes=runtimes))
    assert choice.selected == "a"
    assert [(r.runtime, r.reason) for r in choice.rejected] == [("b", "Disabled")]


@pytest.mark.parametrize("reason", sorted(MENDS))
def test_every_mend_is_an_order_that_names_no_placeholder(reason):
    mend = make_mend("load", reason, "iris")
    assert mend
    assert not mend.endswith(".")
    assert "{" not in mend


def test_every_reason_of_the_plan_has_a_mend(make):
    services = [
        make.service(**spec)
        for spec in (
            {"canary": [{}]}, {"workerSpec": {}},
            {"model": {"confidential": {"enabled": True}}}, {"model": {"runtime": "no"}},
            {"model": {"storageUri": None, "storage": {"key": "x"}}},
            {"model": {"storageUri": "ftp://x"}}, {"model": {"modelFormat": {"name": "no"}}},
            {"meta_annotations": {"serving.kserve.io/deploymentMode": "ModelMesh"},
             "transformer": {"containers": [{}]}},
        )
    ]  # fmt: skip
    plans = [build_plan(make.snapshot(s)) for s in services]
    many = tuple(make.runtime(f"r{n}", workerSpec={}) for n in range(2))
    plans.append(build_plan(make.snapshot(make.service(workerSpec={}), cluster_runtimes=many)))
    reasons = {p.blocked.reason for p in plans if p.blocked}
    assert len(reasons) >= 7
    assert reasons <= set(MENDS)


def test_the_time_plays_no_part(make):
    snapshot = make.snapshot()
    plan = build_plan(snapshot)
    observed = make.observed(plan, make.crash(plan))
    assert why(replace(snapshot, now=1.0), plan, observed) == why(snapshot, plan, observed)
