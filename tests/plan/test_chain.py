"""The links of the chain, as they follow from what was observed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sampan.plan.build import build_plan
from sampan.plan.chain import derive_chain, describe_exit, first_open
from sampan.plan.observed import NOTHING, Exit, Link, LinkState

NAMES = ["download", "environment", "process", "load", "ready", "route"]
WAITING, RUNNING = LinkState.WAITING, LinkState.RUNNING
DONE, FAILED = LinkState.DONE, LinkState.FAILED


@pytest.fixture(scope="session")
def plan(make):
    """The plan of a plain service with two replicas."""
    return build_plan(make.snapshot(make.service(minReplicas=2)))


def states(chain):
    return [link.state for link in chain]


def test_a_plan_without_workloads_has_no_chain(make):
    blocked = build_plan(make.snapshot(cluster_runtimes=()))
    assert derive_chain(blocked, NOTHING) == ()
    assert first_open(()) is None


def test_everything_waits_before_anything_was_seen(plan):
    chain = derive_chain(plan, NOTHING)
    assert [link.name for link in chain] == NAMES
    assert states(chain) == [WAITING] * 6


def test_what_was_prepared_for_another_template_does_not_count(make, plan):
    observed = make.observed(plan, template_hash="v1-older")
    assert states(derive_chain(plan, observed)) == [WAITING] * 6


def test_everything_is_done_when_all_replicas_are_ready_and_the_route_passes(make, plan):
    observed = make.observed(plan, make.replica(plan, 0), make.replica(plan, 1))
    chain = derive_chain(plan, observed)
    assert states(chain) == [DONE] * 6
    assert first_open(chain) is None


FIRST = {
    "a download under way": ({"download": Link(RUNNING, "Downloading")}, "download", RUNNING),
    "a download that failed": ({"download": Link(FAILED, "NotFound")}, "download", FAILED),
    "an environment under way": ({"environment": Link(RUNNING)}, "environment", RUNNING),
    "both, of which the download is first": (
        {"download": Link(RUNNING), "environment": Link(FAILED)},
        "download",
        RUNNING,
    ),
    "no replica yet": ({}, "process", WAITING),
}


@pytest.mark.parametrize("case", FIRST.values(), ids=FIRST.keys())
def test_the_first_open_link_before_a_replica(make, plan, case):
    fields, name, state = case
    opened = first_open(derive_chain(plan, make.observed(plan, **fields)))
    assert opened is not None
    assert (opened.name, opened.state) == (name, state)


REPLICAS = {
    "not started yet": ({"running": False, "ready": False, "load": Link()}, "process", WAITING),
    "a start that was refused": (
        {"running": False, "ready": False, "load": Link(FAILED, "ConfigMapMissing")},
        "process", FAILED,
    ),
    "loading": ({"ready": False, "load": Link(RUNNING, "Loading")}, "load", RUNNING),
    "ready once and not now": ({"ready": False}, "ready", RUNNING),
}  # fmt: skip


@pytest.mark.parametrize("case", REPLICAS.values(), ids=REPLICAS.keys())
def test_the_first_open_link_of_a_replica(make, plan, case):
    fields, name, state = case
    other = make.replica(plan, 1)
    observed = make.observed(plan, make.replica(plan, 0, **fields), other)
    opened = first_open(derive_chain(plan, observed))
    assert opened is not None
    assert (opened.name, opened.state) == (name, state)


def test_a_replica_whose_probe_no_longer_passes_is_named(make, plan):
    lost = make.replica(plan, 1, ready=False)
    opened = first_open(derive_chain(plan, make.observed(plan, make.replica(plan), lost)))
    assert opened is not None
    assert opened.link.reason == "ReplicaNotReady"
    assert '"iris-predictor-1"' in opened.link.message


def test_a_crash_is_told_with_the_last_line_of_the_log(make, plan):
    opened = first_open(derive_chain(plan, make.observed(plan, make.crash(plan))))
    assert opened is not None
    assert (opened.name, opened.state) == ("load", FAILED)
    assert opened.link.reason == "CrashLoopBackOff"
    assert opened.link.message == (
        '"iris-predictor-0" ended with exit code "1": ValueError: not a model'
    )
    assert opened.link.retry_at == make.now + 10
    assert opened.replica == "iris-predictor-0"
    assert opened.exit is not None


def test_a_crash_of_a_replica_that_was_ready_is_an_open_load_too(make, plan):
    opened = first_open(derive_chain(plan, make.observed(plan, make.crash(plan, load=make.done))))
    assert opened is not None
    assert (opened.name, opened.state) == ("load", FAILED)


def ended(**fields):
    return Exit(**{"code": 1, "reason": "Error", "started_at": 1.0, "finished_at": 2.0, **fields})


REASONS = {
    "a plain end before a pause is a crash loop": (ended(), 9.0, "load", "CrashLoopBackOff"),
    "without a pause it is what it is": (ended(), 0.0, "load", "Error"),
    "a telling reason stays": (ended(reason="ModelUntrusted"), 9.0, "load", "ModelUntrusted"),
    "so does a lack of memory": (ended(reason="OOMKilled", code=137), 9.0, "load", "OOMKilled"),
    "one that never ran is an open process": (
        ended(reason="StartError", started_at=2.0),
        9.0,
        "process",
        "StartError",
    ),
}


@pytest.mark.parametrize("case", REASONS.values(), ids=REASONS.keys())
def test_the_reason_of_an_end(make, plan, case):
    last, pause, name, reason = case
    observed = make.observed(plan, make.crash(plan, last_exit=last, back_off_until=pause))
    opened = first_open(derive_chain(plan, observed))
    assert opened is not None
    assert (opened.name, opened.link.reason) == (name, reason)


def test_a_replica_that_starts_again_is_loading_and_keeps_its_last_end(make, plan):
    again = make.crash(plan, running=True, load=Link(RUNNING, "Loading"), back_off_until=0.0)
    opened = first_open(derive_chain(plan, make.observed(plan, again)))
    assert opened is not None
    assert (opened.name, opened.state) == ("load", RUNNING)
    assert opened.exit is not None


def test_the_replica_that_is_worst_off_speaks_for_all(make, plan):
    loading = make.replica(plan, 1, ready=False, load=Link(RUNNING))
    opened = first_open(derive_chain(plan, make.observed(plan, loading, make.crash(plan, 0))))
    assert opened is not None
    assert opened.replica == "iris-predictor-0"


def test_among_equals_the_newest_speaks(make, plan):
    old, new = make.crash(plan, 0, created_at=1.0), make.crash(plan, 1, created_at=2.0)
    opened = first_open(derive_chain(plan, make.observed(plan, old, new)))
    assert opened is not None
    assert opened.replica == "iris-predictor-1"


def test_replicas_of_an_older_template_and_those_that_drain_have_no_say(make, plan):
    old = make.crash(plan, 0, template_hash="v1-older")
    draining = make.crash(plan, 1, draining=True)
    new = [make.replica(plan, 2), make.replica(plan, 3)]
    assert first_open(derive_chain(plan, make.observed(plan, old, draining, *new))) is None


def test_a_route_that_does_not_pass_is_the_last_open_link(make, plan):
    replicas = [make.replica(plan, 0), make.replica(plan, 1)]
    observed = make.observed(plan, *replicas, route=Link(FAILED, "EnvoyExited"))
    opened = first_open(derive_chain(plan, observed))
    assert opened is not None
    assert (opened.name, opened.link.reason) == ("route", "EnvoyExited")


def test_another_service_s_workload_is_not_looked_at(make, plan):
    observed = make.observed(plan, make.replica(plan, 0), make.replica(plan, 1))
    renamed = replace(observed, workloads=(replace(observed.workloads[0], name="other"),))
    assert states(derive_chain(plan, renamed)) == [WAITING] * 6


ENDS = {
    "an exit code": (ended(), '"r" ended with exit code "1"'),
    "a signal": (ended(signal="SIGKILL", code=137), '"r" ended with signal SIGKILL'),
    "nobody knows": (
        ended(code=None, reason="ContainerStatusUnknown"), '"r" ended with an unknown exit code',
    ),
    "the last line of the log": (
        ended(last_lines=("a", "ValueError: b", "  ")),
        '"r" ended with exit code "1": ValueError: b',
    ),
    "what the platform said, where there is no log": (
        ended(message="gone"), '"r" ended with exit code "1": gone',
    ),
    "a telling reason has its own words": (
        ended(reason="ModelMissing", message='no model in "/mnt/models"; put one there',
              last_lines=("noise",)),
        'no model in "/mnt/models"; put one there',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS.keys())
def test_an_end_is_described_by(case):
    last, text = case
    assert describe_exit("r", last) == text
