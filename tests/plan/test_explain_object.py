"""Why an object of any kind is in order or not: what it names, its conditions, who names it."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api.named_objects import Named, named_objects
from sampan.plan.explain_object import Neighbour, explain_object, is_in_order
from sampan.plan.observed import LinkState

SERVICE = Named("InferenceService", "iris")


def conditions(*told: tuple[str, str, str]) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": t, "status": s, "reason": r} for t, s, r in told]}}


def lines(obj: dict[str, Any], names: Any = (), users: Any = ()) -> list[tuple[str, str, str]]:
    links = explain_object(obj, names, users)
    return [(one.name, one.state.value, one.link.reason or one.link.message) for one in links]


ALONE = ("used by", "done", "nothing names it")


def test_what_is_named_and_there_is_well_and_what_is_not_there_fails():
    there, gone = Neighbour(Named("Secret", "a"), {}), Neighbour(Named("Secret", "b"), None)
    assert lines({}, [there, gone]) == [
        ("names", "done", 'Secret "a" is there'),
        ("names", "failed", "ReferenceNotFound"),
        ALONE,
    ]


@pytest.mark.parametrize(
    ("status", "state"), [("True", "done"), ("False", "failed"), ("Unknown", "running")]
)
def test_a_service_that_is_named_is_as_well_as_its_ready_condition(status: str, state: str):
    service = conditions(("Ready", status, "ImageNotRunnable"))
    ((_, found, _), _) = lines({}, [Neighbour(SERVICE, service)])
    assert found == state


def test_conditions_are_told_with_ready_last_and_those_for_information_left_out():
    obj = conditions(("Ready", "False", "A"), ("Routes", "Unknown", "B"), ("Stopped", "False", ""))
    obj["status"]["conditions"][2]["severity"] = "Info"
    assert lines(obj) == [("Routes", "running", "B"), ("Ready", "failed", "A"), ALONE]


def test_a_runtime_that_is_disabled_says_so():
    assert lines({"spec": {"disabled": True}})[0] == ("enabled", "failed", "RuntimeDisabled")


def test_users_are_named_with_whether_they_are_ready_and_many_are_counted():
    ready = conditions(("Ready", "True", ""))
    users = [Neighbour(Named("InferenceService", f"s{n}"), ready) for n in range(7)]
    (told,) = explain_object({}, (), users)
    assert told.link.message.startswith('InferenceService "s0" (Ready), ')
    assert told.link.message.endswith(", 2 more")


def test_users_of_an_object_of_the_cluster_are_told_with_their_namespace():
    user = Neighbour(SERVICE, {"metadata": {"namespace": "ml"}})
    assert lines({}, (), [user]) == [("used by", "done", 'InferenceService "ml/iris"')]
    assert lines({"metadata": {"namespace": "ml"}}, (), [user])[0][2] == 'InferenceService "iris"'


@pytest.mark.parametrize(
    ("obj", "names", "well"),
    [
        pytest.param(conditions(("Ready", "True", "")), (), True, id="Ready is True"),
        pytest.param(conditions(("Ready", "Unknown", "")), (), False, id="Ready is not known yet"),
        pytest.param({}, (), True, id="a kind without conditions of which nothing is wrong"),
        pytest.param({"disabled": True}, (), False, id="one that is switched off"),
        pytest.param({}, (Neighbour(SERVICE, None),), False, id="one that names what is not there"),
        pytest.param(
            conditions(("Ready", "True", "")),
            (Neighbour(SERVICE, None),),
            True,
            id="its own Ready is the last word",
        ),
    ],
)
def test_in_order_is_what_ready_says_or_that_nothing_fails(
    obj: dict[str, Any], names: Any, well: bool
):
    assert is_in_order(obj, explain_object(obj, names, ())) is well


def test_no_state_but_the_four_is_ever_told():
    odd = conditions(("Ready", "Perhaps", ""))
    assert explain_object(odd, (), ())[0].state is LinkState.RUNNING


NAMED = [
    pytest.param(
        {
            "kind": "InferenceService",
            "spec": {
                "predictor": {
                    "serviceAccountName": "acc",
                    "imagePullSecrets": [{"name": "pull"}],
                    "model": {"storageUri": "pvc://claim/a", "storage": {"key": "k"}},
                    "containers": [
                        {
                            "env": [{"valueFrom": {"secretKeyRef": {"name": "s", "key": "x"}}}],
                            "envFrom": [{"configMapRef": {"name": "c"}}],
                        }
                    ],
                    "volumes": [{"secret": {"secretName": "v"}}, {"configMap": {"name": "m"}}],
                }
            },
            "status": {"clusterServingRuntimeName": "r"},
        },
        ["ClusterServingRuntime r", "ConfigMap c", "ConfigMap m", "PersistentVolumeClaim claim",
         "Secret pull", "Secret s", "Secret storage-config", "Secret v", "ServiceAccount acc"],
        id="a service",
    ),
    pytest.param(
        {"kind": "InferenceGraph", "spec": {"nodes": {"root": {"steps": [{"serviceName": "a"},
                                                                        {"serviceName": "a"}]}}}},
        ["InferenceService a"],
        id="a graph, each once",
    ),
    pytest.param(
        {"kind": "TrainedModel", "spec": {"inferenceService": "a"}},
        ["InferenceService a"],
        id="a trained model",
    ),
    pytest.param(
        {"kind": "ServiceAccount", "secrets": [{"name": "a"}], "imagePullSecrets": [{"name": "b"}]},
        ["Secret a", "Secret b"],
        id="an account",
    ),
    pytest.param({"kind": "Secret", "data": {"name": "x"}}, [], id="data names nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "found"), NAMED)
def test_what_an_object_names(obj: dict[str, Any], found: list[str]):
    assert [f"{n.kind} {n.name}" for n in named_objects(obj)] == found
