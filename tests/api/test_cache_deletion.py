"""When a LocalModelCache may go: not while a service that its status names carries its label."""

from typing import Any

import pytest

from sampan.api.scheme import REGISTRY

Json = dict[str, Any]
LABEL = "internal.serving.kserve.io/localmodel"
OWN = f"{LABEL}-namespace"
GUARD = REGISTRY.get("localmodelcaches.serving.kserve.io").delete_guard
USED = {"inferenceServices": [{"namespace": "ml", "name": "a"}],
        "llmInferenceServices": [{"namespace": "ml", "name": "b"}]}  # fmt: skip


def cache(**status: Any) -> Json:
    return {"kind": "LocalModelCache", "metadata": {"name": "tiny"}, "status": status}


def service(kind: str = "InferenceService", **labels: str) -> Json:
    return {"kind": kind, "metadata": {"name": "a", "labels": labels}}


def refusal(*services: Json) -> str:
    assert GUARD is not None
    return GUARD.refuse(cache(**USED), services)


def test_the_services_of_the_status_are_asked_for() -> None:
    assert GUARD is not None
    assert GUARD.users(cache(**USED)) == (
        ("inferenceservices.serving.kserve.io", "ml", "a"),
        ("llminferenceservices.serving.kserve.io", "ml", "b"),
    )
    assert GUARD.users({"metadata": {"name": "tiny"}}) == ()


@pytest.mark.parametrize("kind", ["InferenceService", "LLMInferenceService"])
def test_a_cache_in_use_stays(kind: str) -> None:
    text = f"LocalModelCache tiny is being used by {kind} a"
    assert refusal(service(), service(kind, **{LABEL: "tiny"})) == text


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(service(), id="it has no label"),
        pytest.param(service(**{LABEL: "other"}), id="it has the label of another cache"),
        pytest.param(
            service("LLMInferenceService", **{LABEL: "tiny", OWN: "ml"}),
            id="its cache is one of its namespace",
        ),
    ],
)
def test_a_service_that_the_status_still_names_holds_nothing_when(other: Json) -> None:
    assert refusal(other) == ""
