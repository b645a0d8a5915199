"""A workload that sleeps is Ready; one that wakes stays so until its start fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sampan.plan.build import build_plan
from sampan.plan.explain import why
from sampan.plan.observed import NOTHING, Link, LinkState
from sampan.plan.scaling import Scale
from sampan.plan.status import derive_status

ASLEEP = Scale(0, held=True, reason="0 replicas: 0 requests in flight over 60 s")
WAKING = Scale(1, held=True, waking=True)
HELD = Link(LinkState.DONE, "RequestsHeld")


@pytest.fixture
def planned(make):
    """`planned(scale)` is a snapshot with that scale of its predictor, and the plan of it."""

    def plan(scale):
        snapshot = make.snapshot(make.service(minReplicas=0))
        name = build_plan(snapshot).workloads[0].name
        snapshot = replace(snapshot, scales={name: scale})
        return snapshot, build_plan(snapshot)

    return plan


def conditions(status):
    return {c["type"]: (c["status"], c.get("reason", "")) for c in status["conditions"]}


def test_asleep_a_service_is_ready_for_the_reason_no_traffic(make, planned):
    snapshot, plan = planned(ASLEEP)
    status = derive_status(snapshot, plan, make.observed(plan, route=HELD))
    found = conditions(status)
    assert found["PredictorReady"] == ("True", "NoTraffic")
    assert (found["IngressReady"][0], found["Ready"][0]) == ("True", "True")
    assert status["modelStatus"]["states"]["targetModelState"] == "Loaded"


def test_asleep_every_link_is_done_and_tells_the_numbers(make, planned):
    snapshot, plan = planned(ASLEEP)
    told = why(snapshot, plan, make.observed(plan, route=HELD))
    assert (told.link, told.serving) == ("", True)
    assert {link.state for link in told.chain} == {LinkState.DONE}
    assert {link.link.message for link in told.chain if link.name == "ready"} == {ASLEEP.reason}


def test_waking_it_stays_ready_while_the_replica_loads(make, planned):
    snapshot, plan = planned(WAKING)
    loading = make.replica(plan, ready=False, load=Link(LinkState.RUNNING, "Loading"))
    found = conditions(derive_status(snapshot, plan, make.observed(plan, loading, route=HELD)))
    assert found["PredictorReady"] == ("True", "NoTraffic")


def test_waking_a_start_that_fails_is_told(make, planned):
    snapshot, plan = planned(WAKING)
    load = Link(LinkState.FAILED, "ModelMissing", "no model file")
    failed = make.replica(plan, running=False, ready=False, load=load)
    found = conditions(derive_status(snapshot, plan, make.observed(plan, failed, route=HELD)))
    assert found["PredictorReady"] == ("False", "ModelMissing")


def test_awake_the_replica_speaks_for_itself(make, planned):
    snapshot, plan = planned(Scale(1))
    found = conditions(derive_status(snapshot, plan, make.observed(plan, make.replica(plan))))
    assert found["PredictorReady"] == ("True", "NewReplicaSetAvailable")


def test_a_template_that_never_served_is_not_ready_though_its_requests_wait(planned):
    snapshot, plan = planned(Scale(1, held=True))
    found = conditions(derive_status(snapshot, plan, NOTHING))
    assert found["PredictorReady"][0] == "False"


def test_no_replicas_without_anybody_who_would_start_one_is_no_sleep(planned):
    snapshot, plan = planned(Scale(0))
    found = conditions(derive_status(snapshot, plan, NOTHING))
    assert found["PredictorReady"] == ("False", "NoReplicas")
