"""Budgets and policies of a service's pods: made as the annotations say, or told why not."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.app.offline import render_offline
from sampan.plan.protection import ALLOW_FROM, MIN_AVAILABLE, protection_warnings

SERVICE: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "iris", "namespace": "ml"},
    "spec": {
        "predictor": {
            "minReplicas": 3,
            "model": {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://models/iris"},
        },
        "transformer": {"containers": [{"name": "c", "image": "mine"}], "minReplicas": 2},
    },
}


def annotated(**annotations: str) -> dict[str, Any]:
    return {**SERVICE, "metadata": {**SERVICE["metadata"], "annotations": annotations}}


def rendered(mode: str = "Standard", **annotations: str) -> dict[tuple[str, str], dict[str, Any]]:
    outcome = render_offline([annotated(**annotations)], mode)
    assert not outcome.mistakes
    return {(o["kind"], o["metadata"]["name"]): o for o in outcome.objects}


def test_without_the_annotations_there_is_neither():
    assert {k for k, _ in rendered()}.isdisjoint({"PodDisruptionBudget", "NetworkPolicy"})


@pytest.mark.parametrize(
    ("text", "value"),
    [pytest.param("1", 1, id="a number"), pytest.param("50%", "50%", id="a percentage")],
)
def test_each_component_has_a_budget_of_its_own_pods(text, value):
    objects = rendered(**{MIN_AVAILABLE: text})
    for name in ("iris-predictor", "iris-transformer"):
        budget, deployment = objects["PodDisruptionBudget", name], objects["Deployment", name]
        assert budget["spec"]["minAvailable"] == value
        assert budget["spec"]["selector"] == deployment["spec"]["selector"]
        assert budget["metadata"]["ownerReferences"] == deployment["metadata"]["ownerReferences"]


def test_a_policy_lets_in_the_own_namespace_and_those_that_are_named():
    objects = rendered(**{ALLOW_FROM: "istio-system, team-a"})
    spec = objects["NetworkPolicy", "iris-predictor"]["spec"]
    assert spec["podSelector"] == objects["Deployment", "iris-predictor"]["spec"]["selector"]
    assert spec["policyTypes"] == ["Ingress"]
    [rule] = spec["ingress"]
    selected = [peer["namespaceSelector"]["matchLabels"] for peer in rule["from"]]
    assert selected == [
        {"kubernetes.io/metadata.name": name} for name in ("ml", "istio-system", "team-a")
    ]


def test_an_empty_list_lets_in_the_own_namespace_alone():
    objects = rendered(**{ALLOW_FROM: ""})
    [rule] = objects["NetworkPolicy", "iris-transformer"]["spec"]["ingress"]
    assert len(rule["from"]) == 1


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        pytest.param(MIN_AVAILABLE, "half", 'write "1" or "50%"', id="no amount"),
        pytest.param(MIN_AVAILABLE, "100%", "cannot be drained", id="all of them"),
        pytest.param(MIN_AVAILABLE, "2", "of the transformer", id="as many as there are"),
        pytest.param(ALLOW_FROM, "a,B!", '"a,B!" is no list', id="no namespace"),
    ],
)
def test_what_would_not_do_what_is_meant_is_told(key, text, told):
    found = protection_warnings(annotated(**{key: text}), "Standard")
    paths = {path for path, sentence in found if told in sentence}
    assert paths == {f'metadata.annotations["{key}"]'}


@pytest.mark.parametrize("text", ["half", "a,B!"])
def test_what_cannot_be_read_makes_no_object(text):
    objects = rendered(**{MIN_AVAILABLE: text, ALLOW_FROM: "a,B!"})
    assert {k for k, _ in objects}.isdisjoint({"PodDisruptionBudget", "NetworkPolicy"})


def test_in_knative_mode_both_have_no_effect_and_that_is_said():
    given = {MIN_AVAILABLE: "1", ALLOW_FROM: ""}
    told = [path for path, _ in protection_warnings(annotated(**given), "Knative")]
    assert len(told) == 2
    assert {k for k, _ in rendered("Knative", **given)} <= {"Service", "VirtualService"}
