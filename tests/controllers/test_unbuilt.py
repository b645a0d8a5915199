"""What is said of kinds that are kept but not acted on."""

from typing import Any

import pytest

from sampan.api.scheme import GROUP, REGISTRY
from sampan.controllers.unbuilt import (
    CONDITIONS,
    MESSAGES,
    UnbuiltController,
    make_unbuilt_warnings,
)
from sampan.machinery.clock import SystemClock
from sampan.machinery.controller import Result
from sampan.machinery.store import Key
from sampan.machinery.store_memory import MemoryStore

Json = dict[str, Any]
GRAPHS = "inferencegraphs.serving.kserve.io"
SERVICES = "inferenceservices.serving.kserve.io"
MODELS = "trainedmodels.serving.kserve.io"
BUILT = {"InferenceService", "InferenceGraph", "ServingRuntime", "ClusterServingRuntime"}


def obj(kind: str, spec: Json, **more: Any) -> Json:
    meta = {"name": "x", "namespace": "default"}
    version = "serving.kserve.io/v1alpha1"
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec, **more}


MODEL = obj(
    "TrainedModel",
    {
        "inferenceService": "p",
        "model": {"storageUri": "s3://m", "framework": "onnx", "memory": "1Gi"},
    },
)


LLM = obj(
    "LLMInferenceService",
    {"model": {"uri": "hf://llama", "name": "llama"}, "router": {"route": {}}, "worker": {}},
)
LLM["apiVersion"] = "serving.kserve.io/v1alpha2"
CONFIG = obj("LLMInferenceServiceConfig", {"model": {"uri": "hf://llama"}})
CONFIG["apiVersion"] = "serving.kserve.io/v1alpha2"
TOLD = {
    "llminferenceservices.serving.kserve.io": LLM,
    "llminferenceserviceconfigs.serving.kserve.io": CONFIG,
}


def test_each_kind_of_ours_is_acted_on_or_says_that_it_is_not() -> None:
    ours = {resource.kind for resource in REGISTRY if resource.group == GROUP}
    assert ours - BUILT == set(MESSAGES)


def test_each_kind_whose_clients_wait_for_ready_gets_the_condition() -> None:
    waited_for = {r.id for r in REGISTRY if r.columns and any(c.name == "Ready" for c in r.columns)}
    assert waited_for - {SERVICES, GRAPHS, MODELS} == set(CONDITIONS)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (MODEL, ['"p" does not get this one', 'storageUri "s3://m"']),
        (
            obj("ClusterStorageContainer", {"supportedUriFormats": [{"prefix": "x://"}]}),
            ['fetches nothing for "x://"', "built-in fetcher"],
        ),
        (obj("LocalModelCache", {"sourceModelUri": "hf://a"}), ['"hf://a" is not here', "kept"]),
        (obj("LocalModelNamespaceCache", {"sourceModelUri": "hf://b"}), ['"hf://b" is not here']),
        (obj("LocalModelNodeGroup", {}), ["no effect", "kept on this machine"]),
        (obj("LocalModelNode", {"localModels": []}), ["no effect", "kept on this machine"]),
        (LLM, ['"llama" of "hf://llama"', "nor do its router", "as an InferenceService"]),
        (CONFIG, ["no LLMInferenceService is made from it", "into an InferenceService"]),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_a_warning_says_what_does_not_run_and_what_to_do(given: Json, words: list[str]) -> None:
    (warning,) = make_unbuilt_warnings(given)
    assert warning.startswith(f"{given['kind']} NotBuiltYet: ")
    assert [word for word in words if word not in warning] == []


@pytest.mark.parametrize("kind", sorted(MESSAGES))
def test_an_object_without_a_spec_gets_its_warning_too(kind: str) -> None:
    assert len(make_unbuilt_warnings({"kind": kind, "metadata": {"name": "x"}})) == 1


def test_nothing_is_said_of_what_is_disabled_or_of_other_kinds() -> None:
    assert make_unbuilt_warnings(obj("ClusterStorageContainer", {}, disabled=True)) == []
    assert make_unbuilt_warnings(obj("InferenceService", {})) == []


def test_the_status_of_each_kind_with_the_condition_is_looked_at() -> None:
    assert set(TOLD) == set(CONDITIONS)


@pytest.mark.parametrize(("resource", "given"), TOLD.items(), ids=TOLD)
async def test_the_status_says_that_it_will_not_become_ready_and_is_written_once(
    resource: str, given: Json
) -> None:
    store = MemoryStore(REGISTRY, SystemClock())
    await store.create(resource, given)
    controller, key = UnbuiltController(store, SystemClock()), Key(resource, "default", "x")
    assert await controller.reconcile(key) == Result()
    once = await store.get(key)
    (ready,) = (c for c in once["status"]["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "NotBuiltYet")
    assert ready["message"] in make_unbuilt_warnings(given)[0]
    assert once["status"]["observedGeneration"] == once["metadata"]["generation"]
    await controller.reconcile(key)
    assert await store.get(key) == once


async def test_an_object_that_is_gone_is_left_alone() -> None:
    store = MemoryStore(REGISTRY, SystemClock())
    controller = UnbuiltController(store, SystemClock())
    assert await controller.reconcile(Key(MODELS, "default", "gone")) == Result()
