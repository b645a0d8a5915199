"""Defaults and verdicts over TLS, as a cluster's API server asks for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.webhooks.conftest import ApiServerOfACluster, make_config_map

from sampan.api.config import Config
from sampan.api.scheme import REGISTRY
from sampan.app.cluster_effects import cluster_warnings
from sampan.machinery.registry import AdmissionContext, JsonObject
from sampan.platforms.kubernetes.settings import ClusterSettings
from sampan.webhooks.paths import JUDGED

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
MUTATE = "/mutate-serving-kserve-io-v1beta1-inferenceservice"
VALIDATE = "/validate-serving-kserve-io-v1beta1-inferenceservice"
SET_UPS = ("standard-gateway", "knative")


def service(**predictor: Any) -> JsonObject:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris", "namespace": "golden"},
        "spec": {"predictor": predictor or {"sklearn": {"storageUri": "gs://b/m"}}},
    }


async def test_a_legacy_field_comes_back_as_a_model(asked: ApiServerOfACluster) -> None:
    stored = await asked.mutate(MUTATE, service())
    assert stored["spec"]["predictor"]["model"]["modelFormat"] == {"name": "sklearn"}
    assert "sklearn" not in stored["spec"]["predictor"]


async def test_what_has_its_defaults_is_not_changed_again(asked: ApiServerOfACluster) -> None:
    stored = await asked.mutate(MUTATE, service())
    assert "patch" not in await asked.review(MUTATE, object=stored)


async def test_a_refusal_has_upstream_s_code_and_text(asked: ApiServerOfACluster) -> None:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://b/m"}
    wrong = service(model=model, minReplicas=3, maxReplicas=2)
    response = await asked.review(VALIDATE, object=wrong)
    assert not response["allowed"]
    assert response["status"]["code"] == 403
    text = "'MinReplicas' cannot be greater than MaxReplicas"
    assert response["status"]["message"] == text


async def test_a_new_name_of_the_configuration_is_seen_at_once(
    asked: ApiServerOfACluster, store: Any
) -> None:
    key = "serving.kserve.io/deploymentMode"
    before = await asked.mutate(MUTATE, service())
    await store.create(
        "configmaps", make_config_map({"deploy": '{"defaultDeploymentMode": "ModelMesh"}'})
    )
    after = await asked.mutate(MUTATE, service())
    assert after["metadata"]["annotations"][key] == "ModelMesh"
    assert (before["metadata"].get("annotations") or {}).get(key) != "ModelMesh"


@pytest.mark.parametrize("set_up", SET_UPS)
async def test_every_sample_is_stored_and_judged_as_by_the_functions_of_the_laptop(
    asked: ApiServerOfACluster, store: Any, golden_folder: Path, set_up: str
) -> None:
    data = json.loads(
        (golden_folder / "installed" / f"inferenceservice-config.{set_up}.json").read_text()
    )
    await store.create("configmaps", make_config_map(data))
    resource = REGISTRY.get("inferenceservices.serving.kserve.io")
    verdicts = {True: 0, False: 0}
    for path in sorted(SAMPLES.glob("inferenceservice-*.yaml")):
        sample = yaml.safe_load(path.read_text())
        if sample.get("apiVersion") != resource.api_version:
            continue
        sample["metadata"]["namespace"] = "golden"
        expected = resource.admit(sample, None, AdmissionContext(data))
        stored = await asked.mutate(MUTATE, sample)
        assert stored == expected.obj, path.name
        response = await asked.review(VALIDATE, object=stored)
        assert response["allowed"] == (not expected.errors and not expected.denied), path.name
        verdicts[response["allowed"]] += 1
    assert verdicts[True] > 100
    assert verdicts[False] > 0


async def test_a_cache_that_is_in_use_may_not_go(asked: ApiServerOfACluster, store: Any) -> None:
    await store.create("inferenceservices.serving.kserve.io", service())
    cache = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LocalModelCache",
        "metadata": {"name": "iris"},
        "spec": {"sourceModelUri": "gs://b/m", "modelSize": "1Gi", "nodeGroups": ["a"]},
        "status": {"inferenceServices": [{"name": "iris", "namespace": "golden"}]},
    }
    path = "/validate-serving-kserve-io-v1alpha1-localmodelcache"
    used = await store.get(key_of_the_service())
    used["metadata"]["labels"] = {"internal.serving.kserve.io/localmodel": "iris"}
    await store.update("inferenceservices.serving.kserve.io", used)
    response = await asked.review(path, "DELETE", oldObject=cache)
    assert not response["allowed"]
    assert "iris" in response["status"]["message"]
    free = {**cache, "status": {}}
    assert (await asked.review(path, "DELETE", oldObject=free))["allowed"]


@pytest.mark.parametrize("kind", ["LocalModelCache", "LocalModelNodeGroup"])
def test_a_kind_on_which_nothing_acts_says_so_when_it_is_applied(kind: str) -> None:
    resource = next(r for r in REGISTRY if r.kind == kind)
    assert resource.id in JUDGED
    obj = {"apiVersion": resource.api_version, "kind": kind, "spec": {"storageLimit": "1Gi"}}
    ((path, sentence),) = cluster_warnings(obj, Config(), ClusterSettings())
    assert path == "spec"
    assert "no objects are made of it on a cluster" in sentence


def key_of_the_service() -> Any:
    from sampan.machinery.store import Key

    return Key("inferenceservices.serving.kserve.io", "golden", "iris")


@pytest.mark.parametrize(
    ("path", "method", "body", "code", "text"),
    [
        pytest.param(VALIDATE, "POST", b"{", 400, "the body is no JSON", id="no JSON"),
        pytest.param(VALIDATE, "POST", b"[]", 400, "no AdmissionReview", id="no object"),
        pytest.param(
            VALIDATE, "POST", b'{"request": {"uid": "a"}, "apiVersion": "v0"}',
            400, 'AdmissionReview of "v0" is not answered', id="an old version",
        ),
        pytest.param(VALIDATE, "GET", b"", 405, "GET is not answered here", id="another method"),
        pytest.param("/validate-x", "POST", b"{}", 404, "no webhook is served", id="another path"),
        pytest.param("/convert", "POST", b"{}", 400, "no ConversionReview", id="no conversion"),
    ],
)  # fmt: skip
async def test_what_is_no_review_is_told_so(
    asked: ApiServerOfACluster, path: str, method: str, body: bytes, code: int, text: str
) -> None:
    answer = await asked.client.request(method, path, content=body)
    assert answer.status_code == code
    assert text in answer.json()["message"]
    assert answer.json()["kind"] == "Status"


async def test_an_object_that_is_not_readable_is_refused_and_named(
    asked: ApiServerOfACluster,
) -> None:
    response = await asked.review(VALIDATE, object={**service(), "spec": {"predictor": 7}})
    assert not response["allowed"]
    assert "spec.predictor" in response["status"]["message"]


async def test_an_object_of_two_versions_is_converted_there_and_back(
    asked: ApiServerOfACluster,
) -> None:
    new = {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "a", "namespace": "golden"},
        "spec": {"model": {"uri": "hf://a/b"}, "replicas": 2},
    }
    older = await convert(asked, "serving.kserve.io/v1alpha1", new)
    assert older["convertedObjects"][0]["apiVersion"] == "serving.kserve.io/v1alpha1"
    again = await convert(asked, "serving.kserve.io/v1alpha2", *older["convertedObjects"])
    assert again["convertedObjects"] == [new]


async def test_a_version_that_is_not_served_is_told(asked: ApiServerOfACluster) -> None:
    response = await convert(asked, "serving.kserve.io/v9", service())
    assert response["result"]["status"] == "Failure"
    assert 'cannot be converted to "serving.kserve.io/v9"' in response["result"]["message"]


async def convert(asked: ApiServerOfACluster, wanted: str, *objects: JsonObject) -> JsonObject:
    request = {"uid": "c-1", "desiredAPIVersion": wanted, "objects": list(objects)}
    answer = await asked.client.post("/convert", json={"request": request})
    assert answer.json()["response"]["uid"] == "c-1"
    return dict(answer.json()["response"])
