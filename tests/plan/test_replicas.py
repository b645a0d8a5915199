"""A service while an autoscaler adds and takes replicas: what its status, chain and plan say."""

from __future__ import annotations

import pytest

from sampan.plan.build import build_plan
from sampan.plan.chain import derive_chain, first_open
from sampan.plan.observed import NOTHING, Link, LinkState
from sampan.plan.replicas import REPLICAS, SCALING_ACTIVE, SCALING_LIMITED
from sampan.plan.scaling import Scale, Unread
from sampan.plan.status import derive_status

LOADING = Link(LinkState.RUNNING, "Loading")


def look(make, scale, ready, loading=0, **spec):
    """Return the snapshot, the plan and what is seen of a service that scales."""
    service = make.service(**spec)
    scales = {"iris-predictor": scale} if scale else {}
    snapshot = make.snapshot(service, scales=scales)
    plan = build_plan(snapshot)
    replicas = [make.replica(plan, n) for n in range(ready)]
    replicas += [make.replica(plan, ready + n, ready=False, load=LOADING) for n in range(loading)]
    return snapshot, plan, make.observed(plan, *replicas)


def condition(status, name):
    return next((c for c in status["conditions"] if c["type"] == name), {})


ROWS = {
    "what is added is not on the way to Ready": (Scale(3), 1, 2, {}, "True", "1/3"),
    "all serve": (Scale(3), 3, 0, {}, "True", "3/3"),
    "none serves": (Scale(3), 0, 3, {}, "False", "0/3"),
    "fewer than the minimum serve": (Scale(8), 2, 6, {"minReplicas": 4}, "False", "2/8"),
    "as many as the minimum serve": (Scale(8), 4, 4, {"minReplicas": 4}, "True", "4/8"),
    "without an autoscaler all are required": (None, 1, 3, {"minReplicas": 4}, "False", "1/4"),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_service_that_scales(make, row):
    scale, ready, loading, spec, expected, told = ROWS[row]
    snapshot, plan, seen = look(make, scale, ready, loading, **spec)
    status = derive_status(snapshot, plan, seen)
    assert condition(status, "PredictorReady")["status"] == expected
    assert status["annotations"] == {REPLICAS: told}


def test_the_chain_of_a_ready_service_is_done_while_replicas_are_added(make):
    _, plan, seen = look(make, Scale(3), 1, 2)
    assert first_open(derive_chain(plan, seen)) is None


def test_the_chain_tells_of_a_replica_that_is_required(make):
    _, plan, seen = look(make, Scale(3), 1, 2, minReplicas=2)
    assert first_open(derive_chain(plan, seen)).name == "load"


def test_a_machine_that_is_full_is_a_condition_beside_ready(make):
    text = "4 replicas are wanted and 1 fit: one takes 1.0 GiB of memory and 0.5 GiB are free"
    snapshot, plan, seen = look(make, Scale(1, limited=text), 1)
    status = derive_status(snapshot, plan, seen)
    limited = condition(status, SCALING_LIMITED)
    assert (limited["status"], limited["reason"], limited["message"]) == (
        "True", "InsufficientMemory", text,
    )  # fmt: skip
    assert condition(status, "Ready")["status"] == "True"
    snapshot, plan, seen = look(make, Scale(1), 1)
    assert condition(derive_status(snapshot, plan, seen), SCALING_LIMITED) == {}


def test_a_metric_that_cannot_be_read_is_a_condition_beside_ready(make):
    unread = Unread("FailedGetPodsMetric", 'no replica tells "queud" yet; did you mean "queued"')
    snapshot, plan, seen = look(make, Scale(2, unread=unread), 2)
    status = derive_status(snapshot, plan, seen)
    active = condition(status, SCALING_ACTIVE)
    assert (active["status"], active["reason"]) == ("False", "FailedGetPodsMetric")
    assert active["message"] == unread.message
    assert condition(status, "Ready")["status"] == "True"
    snapshot, plan, seen = look(make, Scale(2), 2)
    assert condition(derive_status(snapshot, plan, seen), SCALING_ACTIVE) == {}


def test_a_stopped_service_tells_of_no_replicas(make):
    service = make.service(meta_annotations={"serving.kserve.io/stop": "true"})
    snapshot = make.snapshot(service)
    assert "annotations" not in derive_status(snapshot, build_plan(snapshot), NOTHING)
