"""The status as it follows from plan and observation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sampan.plan.build import build_plan
from sampan.plan.observed import NOTHING, Link, LinkState
from sampan.plan.status import derive_status

RUNNING, FAILED, WAITING = LinkState.RUNNING, LinkState.FAILED, LinkState.WAITING


class World:
    """One service whose status is written after each look, as a controller does."""

    def __init__(self, make, service=None, **snapshot):
        self.make = make
        self.snapshot = make.snapshot(service, **snapshot)
        self.plan = build_plan(self.snapshot)

    def edit(self, service, **snapshot):
        """The service is edited; its status stays."""
        service = {**service, "status": self.snapshot.service.get("status") or {}}
        self.snapshot = replace(self.snapshot, service=service, **snapshot)
        self.plan = build_plan(self.snapshot)

    def look(self, *replicas, later=1.0, observed=None, **fields):
        """Derive the status from what is there, and write it."""
        seen = observed or self.make.observed(self.plan, *replicas, **fields)
        self.snapshot = replace(self.snapshot, now=self.snapshot.now + later)
        status = derive_status(self.snapshot, self.plan, seen)
        again = derive_status(
            replace(
                self.snapshot,
                service={**self.snapshot.service, "status": status},
                now=self.snapshot.now + 100,
            ),
            self.plan,
            seen,
        )
        assert again == status  # deriving twice is deriving once
        self.snapshot = replace(self.snapshot, service={**self.snapshot.service, "status": status})
        return status

    def ready(self, **fields):
        """All replicas are ready and the route passes."""
        count = self.plan.workloads[0].replicas
        return self.look(*(self.make.replica(self.plan, n) for n in range(count)), **fields)


@pytest.fixture
def world(make):
    return lambda *a, **k: World(make, *a, **k)


def condition(status, name):
    return next((c for c in status["conditions"] if c["type"] == name), {})


def told(status):
    return {c["type"]: c["status"] for c in status["conditions"]}


def test_at_first_nothing_is_ready_and_there_is_no_url(world):
    status = world().look(observed=NOTHING)
    assert told(status) == {
        "IngressReady": "False", "PredictorReady": "False", "Ready": "False", "Stopped": "False",
    }  # fmt: skip
    assert "url" not in status
    assert "address" not in status
    assert status["components"] == {"predictor": {}}
    assert status["deploymentMode"] == "Standard"
    assert status["clusterServingRuntimeName"] == "kserve-sklearnserver"
    assert status["observedGeneration"] == 1


def test_once_ready_everything_is_there(world):
    status = world().ready()
    assert told(status) == {
        "IngressReady": "True", "PredictorReady": "True", "Ready": "True", "Stopped": "False",
    }  # fmt: skip
    assert status["url"] == "http://iris.default.localhost:8080"
    assert status["address"] == {"url": "http://localhost:8080/serving/default/iris"}
    assert status["components"] == {
        "predictor": {"url": "http://iris-predictor.default.localhost:8080"}
    }
    assert status["modelStatus"] == {
        "transitionStatus": "UpToDate",
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "copies": {"failedCopies": 0, "totalCopies": 1},
    }


WAITS = {
    "the download is under way": (
        {"download": Link(RUNNING, "Downloading", "12 of 20 MB")},
        "MinimumReplicasUnavailable", "download is running (Downloading)",
    ),
    "the download failed": (
        {"download": Link(FAILED, "DownloadFailed", 'no file "x"; put it there')},
        "DownloadFailed", 'download: no file "x"; put it there',
    ),
    "the environment is built": (
        {"environment": Link(RUNNING, "BuildingEnvironment", "Collecting numpy")},
        "MinimumReplicasUnavailable", "environment is running (BuildingEnvironment)",
    ),
    "the image cannot run": (
        {"environment": Link(FAILED, "ImageNotRunnable", 'image "a:b" does not run here')},
        "ImageNotRunnable", 'environment: image "a:b" does not run here',
    ),
    "no replica was started yet": (
        {}, "MinimumReplicasUnavailable", "process is waiting",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WAITS.values(), ids=WAITS.keys())
def test_predictor_and_ready_tell_what_is_missing_when(world, case):
    fields, reason, message = case
    status = world().look(**fields)
    for name in ("PredictorReady", "Ready"):
        assert condition(status, name)["status"] == "False"
        assert condition(status, name)["reason"] == reason
        assert condition(status, name)["message"] == message
    assert condition(status, "IngressReady")["reason"] == "Predictor ingress not created"


def test_progress_alone_changes_nothing(world):
    here = world()
    first = here.look(download=Link(RUNNING, "Downloading", "1 of 20 MB", done=1, total=20))
    second = here.look(download=Link(RUNNING, "Downloading", "9 of 20 MB", done=9, total=20))
    assert first == second


def test_a_crash_is_told_with_its_last_words(world, make):
    here = world()
    status = here.look(make.crash(here.plan))
    assert condition(status, "Ready")["reason"] == "CrashLoopBackOff"
    assert "ValueError: not a model" in condition(status, "Ready")["message"]


ROUTES = {
    "fails": (Link(FAILED, "EnvoyExited", "the gateway ended"), "EnvoyExited", "the gateway ended"),
    "is being made": (
        Link(RUNNING, "ConfigNotTaken", "not taken yet"),
        "ConfigNotTaken",
        "not taken yet",
    ),
    "says nothing": (Link(), "RouteNotReady", "the gateway does not pass a request yet"),
}


@pytest.mark.parametrize("case", ROUTES.values(), ids=ROUTES.keys())
def test_ready_replicas_are_not_enough_while_the_route(world, case):
    route, reason, message = case
    status = world().ready(route=route)
    assert condition(status, "PredictorReady")["status"] == "True"
    for name in ("IngressReady", "Ready"):
        assert condition(status, name)["status"] == "False"
        assert condition(status, name)["reason"] == reason
        assert condition(status, name)["message"] == message
    assert "url" not in status
    assert status["components"]["predictor"]["url"]


def test_a_route_without_ready_replicas_is_not_enough_either(world, make):
    here = world()
    status = here.look(make.replica(here.plan, ready=False))
    assert condition(status, "Ready")["status"] == "False"


ENOUGH = {
    "1 of 1": (1, 1, True),
    "0 of 1": (1, 0, False),
    "1 of 2": (2, 1, False),
    "3 of 4, a quarter may be missing": (4, 3, True),
    "2 of 4": (4, 2, False),
    "7 of 9": (9, 7, True),
    "6 of 9": (9, 6, False),
}


@pytest.mark.parametrize("case", ENOUGH.values(), ids=ENOUGH.keys())
def test_replicas_that_are_enough(world, make, case):
    wanted, ready, enough = case
    here = world(make.service(minReplicas=wanted))
    replicas = [make.replica(here.plan, n, ready=n < ready) for n in range(wanted)]
    status = here.look(*replicas)
    assert condition(status, "PredictorReady")["status"] == ("True" if enough else "False")
    assert status["modelStatus"]["copies"].get("totalCopies", 0) == ready


def test_old_replicas_keep_it_ready_while_a_new_template_rolls_out(world, make):
    here = world()
    here.ready()
    old = make.replica(here.plan)
    here.edit(make.service(model={"args": ["--new"]}, generation=2))
    loading = make.replica(here.plan, 1, ready=False, load=Link(RUNNING))
    status = here.look(old, loading)
    assert told(status)["Ready"] == "True"
    assert condition(status, "PredictorReady")["reason"] == "MinimumReplicasAvailable"
    assert status["observedGeneration"] == 2
    assert status["modelStatus"]["states"] == {
        "activeModelState": "Loaded", "targetModelState": "Loading",
    }  # fmt: skip
    status = here.look(make.replica(here.plan, 1), replace(old, draining=True))
    assert condition(status, "PredictorReady")["reason"] == "NewReplicaSetAvailable"
    assert status["modelStatus"]["transitionStatus"] == "UpToDate"


def test_a_new_template_that_crashes_leaves_it_ready_and_says_so_of_the_model(world, make):
    here = world()
    here.ready()
    old = make.replica(here.plan)
    here.edit(make.service(model={"args": ["--new"]}, generation=2))
    status = here.look(old, make.crash(here.plan, 1))
    assert told(status)["Ready"] == "True"
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert status["modelStatus"]["states"]["activeModelState"] == "Loaded"
    assert status["modelStatus"]["lastFailureInfo"]["location"] == "iris-predictor-1"


def test_old_replicas_that_drain_do_not_count(world, make):
    here = world()
    here.ready()
    old = make.replica(here.plan, draining=True)
    here.edit(make.service(model={"args": ["--new"]}, generation=2))
    assert told(here.look(old))["Ready"] == "False"


def test_urls_stay_when_it_is_no_longer_ready(world, make):
    here = world()
    before = here.ready()
    after = here.look(make.crash(here.plan))
    assert told(after)["Ready"] == "False"
    assert {k: after[k] for k in ("url", "address", "components")} == {
        k: before[k] for k in ("url", "address", "components")
    }


def test_no_replica_wanted_is_never_ready(world, make):
    none = {"serving.kserve.io/autoscalerClass": "none"}
    here = world(make.service(minReplicas=0, meta_annotations=none))
    status = here.look()
    assert condition(status, "Ready")["reason"] == "NoReplicas"
    assert "set it to 1 or more" in condition(status, "Ready")["message"]


# Time


def test_a_condition_s_time_moves_only_when_it_does(world, make):
    here = world()
    first = here.ready()
    second = here.ready(later=60)
    assert second == first
    third = here.look(make.crash(here.plan), later=60)
    assert (
        condition(third, "Ready")["lastTransitionTime"]
        > (condition(first, "Ready")["lastTransitionTime"])
    )
    assert condition(third, "Stopped") == condition(first, "Stopped")


# Stop


STOP = {"serving.kserve.io/stop": "true"}


def test_stopping_clears_all_but_the_mode_and_the_runtime(world, make):
    here = world()
    here.ready()
    here.edit(make.service(meta_annotations=STOP, generation=2))
    status = here.look(observed=NOTHING)
    assert told(status) == {
        "IngressReady": "False", "PredictorReady": "False", "Ready": "False", "Stopped": "True",
    }  # fmt: skip
    assert {
        condition(status, n)["reason"] for n in ("IngressReady", "PredictorReady", "Ready")
    } == {"Stopped"}
    assert {k: v for k, v in status.items() if k != "conditions"} == {
        "deploymentMode": "Standard",
        "clusterServingRuntimeName": "kserve-sklearnserver",
        "modelStatus": {"transitionStatus": ""},
        "observedGeneration": 2,
    }


def test_starting_again_begins_anew(world, make):
    here = world()
    here.ready()
    here.edit(make.service(meta_annotations=STOP))
    here.look(observed=NOTHING)
    here.edit(make.service())
    status = here.look(observed=NOTHING)
    assert told(status)["Stopped"] == "False"
    assert "url" not in status
    assert status["modelStatus"]["states"] == {
        "activeModelState": "", "targetModelState": "Pending",
    }  # fmt: skip
    assert told(here.ready())["Ready"] == "True"


def test_created_stopped(world, make):
    status = world(make.service(meta_annotations=STOP)).look(observed=NOTHING)
    assert told(status)["Stopped"] == "True"
    assert condition(status, "Ready")["reason"] == "Stopped"


# Blocked


def test_a_block_before_anything_ran_is_unknown_and_says_why(world):
    here = world(cluster_runtimes=())
    status = here.look(observed=NOTHING)
    assert told(status) == {
        "IngressReady": "Unknown", "PredictorReady": "Unknown", "Ready": "Unknown",
    }  # fmt: skip
    for name in ("PredictorReady", "Ready"):
        assert condition(status, name)["reason"] == "NoSupportingRuntime"
        assert condition(status, name)["message"] == here.plan.blocked.message
    assert "components" not in status
    assert "clusterServingRuntimeName" not in status
    assert status["modelStatus"]["transitionStatus"] == "InvalidSpec"
    assert status["modelStatus"]["states"]["targetModelState"] == "FailedToLoad"
    assert status["modelStatus"]["lastFailureInfo"]["reason"] == "NoSupportingRuntime"


def test_a_block_while_it_serves_leaves_it_ready(world, make):
    here = world()
    here.ready()
    serving = make.observed(here.plan, make.replica(here.plan))
    here.edit(make.service(generation=2), cluster_runtimes=())
    status = here.look(observed=serving)
    assert told(status)["Ready"] == "True"
    assert status["url"]
    assert status["clusterServingRuntimeName"] == "kserve-sklearnserver"
    assert status["modelStatus"]["transitionStatus"] == "InvalidSpec"
    assert status["modelStatus"]["states"] == {
        "activeModelState": "Loaded", "targetModelState": "FailedToLoad",
    }  # fmt: skip


def test_a_block_whose_old_replicas_end_is_false_and_says_why(world, make):
    here = world()
    here.ready()
    crashed = make.observed(here.plan, make.crash(here.plan))
    here.edit(make.service(), cluster_runtimes=())
    status = here.look(observed=crashed)
    assert told(status)["Ready"] == "False"
    assert condition(status, "Ready")["reason"] == "NoSupportingRuntime"


def test_a_block_that_is_lifted_is_forgotten_but_for_the_last_failure(world, make):
    here = world(cluster_runtimes=())
    here.look(observed=NOTHING)
    here.edit(make.service(), cluster_runtimes=(make.runtime(),))
    status = here.ready()
    assert told(status)["Ready"] == "True"
    assert status["modelStatus"]["transitionStatus"] == "UpToDate"
    assert status["modelStatus"]["lastFailureInfo"]["reason"] == "NoSupportingRuntime"


def test_a_block_outside_the_list_of_failures_is_an_invalid_spec(world, make):
    service = make.service(model={"confidential": {"enabled": True}})
    status = world(service).look(observed=NOTHING)
    assert condition(status, "Ready")["reason"] == "ConfidentialNotSupported"
    assert status["modelStatus"]["lastFailureInfo"]["reason"] == "InvalidPredictorSpec"


# Mode and runtime


MODES = {
    "Standard": "Standard",
    "RawDeployment": "Standard",
    "Knative": "Knative",
    "Serverless": "Knative",
    "nonsense": "Standard",
}


@pytest.mark.parametrize(("word", "mode"), MODES.items())
def test_the_mode_is_told_by_its_new_name(world, make, word, mode):
    service = make.service(meta_annotations={"serving.kserve.io/deploymentMode": word})
    assert world(service).look(observed=NOTHING)["deploymentMode"] == mode


def test_the_mode_of_a_service_never_changes(world, make):
    here = world()
    here.ready()
    here.edit(make.service(meta_annotations={"serving.kserve.io/deploymentMode": "Knative"}))
    assert here.ready()["deploymentMode"] == "Standard"


def test_a_namespaced_runtime_takes_the_other_s_place(world, make):
    here = world()
    here.ready()
    here.edit(make.service(), runtimes=(make.runtime("mine"),))
    status = here.ready()
    assert status["servingRuntimeName"] == "mine"
    assert "clusterServingRuntimeName" not in status


def test_a_custom_predictor_names_no_runtime(world, make):
    service = make.service(containers=[{"name": "kserve-container", "image": "mine"}])
    status = world(service).ready()
    assert "servingRuntimeName" not in status
    assert "clusterServingRuntimeName" not in status
