"""Each rule of InferenceService: what breaks it, and the text that KServe's clients know."""

import copy
from typing import Any

import pytest

MODE = "serving.kserve.io/deploymentMode"
CLASS = "serving.kserve.io/autoscalerClass"
MODEL = {"modelFormat": {"name": "sklearn"}, "storageUri": "file:///models/iris"}
MULTI_NODE = {"modelFormat": {"name": "huggingface"}, "storageUri": "pvc://claim/model"}
ONE_OF_PREDICTOR = (
    "exactly one of [SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, "
    "LightGBM, Paddle, Model, StorageUris, StorageContainerName, WorkerSpec, PodSpec] must be "
    "specified in PredictorSpec"
)
PERCENT = "the target utilization percentage should be a [1-100] integer"


def env(name: str, value: str = "x") -> list[dict[str, str]]:
    return [{"name": name, "value": value}]


def with_model(**fields: Any) -> dict[str, Any]:
    return {"model": {**MODEL, **fields}}


def multi_node(worker: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"model": {**MULTI_NODE, **fields}, "workerSpec": worker or {}}


def scaled(*metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    auto = {"autoScaling": {"metrics": list(metrics)}} if metrics else {}
    return {"model": MODEL, **auto, **fields}


def resource(name: str, **target: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def query(text: str = "up", **target: Any) -> dict[str, Any]:
    return {"type": "External", "external": {"metric": {"query": text}, "target": target}}


@pytest.mark.parametrize("name", ["Iris", "1ris", "iris.v2", "iris-", "iris_v2"])
def test_a_name_that_is_no_host_name_is_refused(admit: Any, service: Any, name: str) -> None:
    obj = service()
    obj["metadata"]["name"] = name
    assert admit(obj).denied.startswith(
        f'the InferenceService "{name}" is invalid: a InferenceService name must consist of'
    )


def test_all_broken_rules_are_reported_at_once_upstreams_first(admit: Any, service: Any) -> None:
    predictor = {"model": {**MODEL, "name": "mine"}, "minReplicas": -1, "logger": {}}
    admitted = admit(service(predictor))
    assert admitted.denied.splitlines() == [
        "the 'name' field is not allowed in standard predictor",
        "spec.predictor.minReplicas: 'MinReplicas' cannot be less than 0",
        "spec.predictor.logger.mode: invalid logger type",
    ]
    assert [cause.path for cause in admitted.causes] == [
        "spec.predictor.model.name",
        "spec.predictor.minReplicas",
        "spec.predictor.logger.mode",
    ]


def test_violations_of_the_schema_come_with_broken_rules(admit: Any, service: Any) -> None:
    predictor = {"model": {**MODEL, "name": "mine"}, "scaleMetric": "qps"}
    admitted = admit(service(predictor))
    assert admitted.denied == ""
    assert [(e.path, e.reason) for e in admitted.errors] == [
        ("spec.predictor.scaleMetric", "FieldValueNotSupported"),
        ("spec.predictor.model.name", "FieldValueInvalid"),
    ]


@pytest.mark.parametrize(
    ("uri", "warned"), [("oci://image", True), ("pvc://claim", True), ("s3://bucket", False)]
)
def test_encryption_without_effect_is_a_warning(
    admit: Any, service: Any, uri: str, warned: bool
) -> None:
    predictor = with_model(storageUri=uri, confidential={"enabled": True})
    admitted = admit(service(predictor))
    assert admitted.denied == ""
    assert bool(admitted.warnings) is warned


@pytest.mark.parametrize(
    "predictor",
    [
        {"model": MODEL, "containers": [{"name": "sidecar"}]},
        {"model": MODEL, "minReplicas": 0},
        {"model": MODEL, "minReplicas": 3, "maxReplicas": 0},
        {"containers": [{"name": "kserve-container", "env": env("PROTOCOL", "v2")}]},
        multi_node(resources={"limits": {"nvidia.com/mig-1g.5gb": 1}}),
    ],
    ids=[
        "a sidecar beside the model",
        "scale to zero",
        "no upper limit",
        "a custom predictor that speaks v2",
        "several nodes with a part of a GPU",
    ],
)
def test_what_keeps_the_rules_is_allowed(admit: Any, service: Any, predictor: Any) -> None:
    obj = service(copy.deepcopy(predictor))
    obj["metadata"]["annotations"][CLASS] = "none"
    admitted = admit(obj)
    assert (admitted.errors, admitted.denied) == ((), "")


class TestUpdates:
    """Rules that compare a service with what it was."""

    def test_the_mode_of_a_deployed_service_stays(self, admit: Any, service: Any) -> None:
        old = {**service(), "status": {"deploymentMode": "RawDeployment"}}
        assert admit(service(mode="Knative"), old).denied == (
            "update rejected: deploymentMode cannot be changed from 'Standard' to 'Knative'"
        )
        assert admit(service(mode="RawDeployment"), old).denied == ""

    def test_the_mode_of_a_service_that_goes_is_nobodys_business(
        self, admit: Any, service: Any
    ) -> None:
        old = {**service(), "status": {"deploymentMode": "Standard"}}
        new = service(mode="Knative")
        new["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
        assert admit(new, old).denied == ""

    @pytest.mark.parametrize(("uri", "allowed"), [(MODEL["storageUri"], False), ("s3://b", True)])
    def test_a_predictor_is_renamed_with_its_model_only(
        self, admit: Any, service: Any, uri: str, allowed: bool
    ) -> None:
        renamed = {"name": "v2", "model": {**MODEL, "storageUri": uri}}
        text = "predictor.name change requires a model change (e.g. storageUri)"
        assert admit(service(renamed), service()).denied == ("" if allowed else text)


def test_a_canary_is_allowed_in_standard_mode(admit: Any, service: Any) -> None:
    newer = {"name": "v2", "model": {**MODEL, "storageUri": "s3://v2"}}
    shares = ({"trafficPercent": 0}, {"trafficPercent": 100})
    for share in shares:
        assert admit(service(canary=[{"predictor": newer, **share}])).denied == ""


def test_canaries_may_have_all_of_the_traffic_and_as_many_replicas_as_the_stable_one(
    admit: Any, service: Any
) -> None:
    canaries = [
        {"trafficPercent": 50, "predictor": {"name": name, "model": MODEL, "minReplicas": 4}}
        for name in ("v2", "v3")
    ]
    assert admit(service({"model": MODEL, "minReplicas": 4}, canary=canaries)).denied == ""


def test_a_service_that_is_going_is_not_judged_again(admit: Any, service: Any) -> None:
    broken = service({})
    broken["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    assert admit(broken, service()).denied == ""
