"""Each rule of InferenceService where it is met less often: other components, other fields."""

from __future__ import annotations

import copy
from typing import Any

import pytest

CLASS = "serving.kserve.io/autoscalerClass"
HPA, KEDA, NONE = {CLASS: "hpa"}, {CLASS: "keda"}, {CLASS: "none"}
MODEL = {"modelFormat": {"name": "sklearn"}, "storageUri": "file:///models/iris"}
NODES = {"modelFormat": {"name": "huggingface"}, "storageUri": "pvc://claim/model"}
CONTAINER = {"name": "kserve-container", "image": "example.com/image"}
PYTHONPATH = [{"name": "PYTHONPATH", "value": "/tmp"}]
INVALID = 'the InferenceService "iris" is invalid: '
BLOCKED = INVALID + 'setting PYTHONPATH in container "{}" is not allowed for security reasons'
UNKNOWN_GPU = (
    INVALID + "Unknown GPU resource type. Set 'serving.kserve.io/gpu-resource-types' annotation to "
    "use custom gpu resource type"
)


def beside(**component: Any) -> dict[str, Any]:
    """A spec with a sound predictor and another component."""
    return {"predictor": {"model": MODEL}, **component}


def workers(**worker: Any) -> dict[str, Any]:
    return {"predictor": {"model": NODES, "workerSpec": worker}}


def scaled(*metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    auto = {"autoScaling": {"metrics": list(metrics)}} if metrics else {}
    return {"predictor": {"model": MODEL, **auto, **fields}}


def resource(name: str, **target: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def pod_metric(query: str) -> dict[str, Any]:
    target = {"type": "Value", "value": "1"}
    return {"type": "PodMetric", "podmetric": {"metric": {"query": query}, "target": target}}


def mounted(*uris: tuple[str, str]) -> dict[str, Any]:
    listed = [{"uri": uri, "mountPath": path} for uri, path in uris]
    return {"containers": [CONTAINER], "storageUris": listed}


METRIC = "spec.predictor.autoScaling.metrics[0]"
PERCENT = "the target utilization percentage should be a [1-100] integer"

REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str, str]] = {
    **{
        f"PYTHONPATH in a container of the {name}": (
            beside(**{name: {"containers": [{**CONTAINER, "env": PYTHONPATH}]}}), {},
            f"spec.{name}.containers[0].env[0]", BLOCKED.format("kserve-container"),
        )
        for name in ("transformer", "explainer")
    },
    **{
        f"PYTHONPATH in an init container of the {name}": (
            beside(**{name: {"containers": [CONTAINER],
                             "initContainers": [{"name": "get", "env": PYTHONPATH}]}}), {},
            f"spec.{name}.initContainers[0].env[0]", BLOCKED.format("get"),
        )
        for name in ("transformer", "explainer")
    },
    "PYTHONPATH in the built-in explainer": (
        beside(explainer={"art": {"type": "SquareAttack", "env": PYTHONPATH}}), {},
        "spec.explainer.art.env[0]", BLOCKED.format("kserve-container"),
    ),
    "PYTHONPATH in a worker": (
        workers(containers=[{"name": "worker-container", "env": PYTHONPATH}]), NONE,
        "spec.predictor.workerSpec.containers[0].env[0]", BLOCKED.format("worker-container"),
    ),
    "PYTHONPATH in an init container of the workers": (
        workers(initContainers=[{"name": "get", "env": PYTHONPATH}]), NONE,
        "spec.predictor.workerSpec.initContainers[0].env[0]", BLOCKED.format("get"),
    ),
    "several nodes without a model to share": (
        {"predictor": {"model": {"modelFormat": {"name": "huggingface"}}, "workerSpec": {}}}, NONE,
        "spec.predictor.model.storageUri",
        INVALID + "StorageURI must be set for multinode enabled",
    ),
    "a worker with a GPU type that is not listed": (
        workers(containers=[{"name": "worker-container",
                             "resources": {"limits": {"vendor.com/gpu": 1}}}]), NONE,
        "spec.predictor.workerSpec.containers[0].resources", UNKNOWN_GPU,
    ),
    "GPU types that are no list": (
        workers(), {**NONE, "serving.kserve.io/gpu-resource-types": "nonsense"},
        "metadata.annotations",
        INVALID + 'invalid serving.kserve.io/gpu-resource-types annotation "nonsense"; '
        'write a JSON list of names, as ["vendor.com/gpu"]',
    ),
    **{
        f"a {name} with negative concurrency": (
            beside(**{name: {"containers": [CONTAINER], "containerConcurrency": -1}}), {},
            f"spec.{name}.containerConcurrency", "parallelism cannot be less than 0",
        )
        for name in ("transformer", "explainer")
    },
    "a transformer that is nothing": (
        beside(transformer={}), {}, "spec.transformer",
        "exactly one of [PodSpec, ComponentExtensionSpec] must be specified in TransformerSpec",
    ),
    "an explainer that is nothing": (
        beside(explainer={}), {}, "spec.explainer",
        "exactly one of [ART, PodSpec, ComponentExtensionSpec] must be specified in ExplainerSpec",
    ),
    "a model mounted over everything": (
        beside(transformer=mounted(("s3://b/m", "/"))), {},
        "spec.transformer.storageUris[0].mountPath", "storage path cannot be empty",
    ),
    "two claims at one place": (
        beside(transformer=mounted(("pvc://a/m", "/mnt/a"), ("pvc://b/m", "/mnt/a"))), {},
        "spec.transformer.storageUris", "PVC storage paths must be unique",
    ),
    "hpa: a resource that is not told": (
        scaled({"type": "Resource"}), HPA, METRIC,
        "metricSpec.Resource is not set for resource metric source type",
    ),
    "hpa: memory over 100, as KServe counts it": (
        scaled(scaleMetric="memory", scaleTarget=101), HPA, "spec.predictor.scaleTarget", PERCENT,
    ),
    "keda: a resource that is not told": (
        scaled({"type": "Resource"}), KEDA, METRIC,
        "metricSpec.Resource is not set for resource metric source type",
    ),
    "keda: memory by a plain value": (
        scaled(resource("memory", type="Value", value="5")), KEDA, f"{METRIC}.resource.target",
        "the memory target value type should be AverageValue or Utilization",
    ),
    "keda: memory without its value": (
        scaled(resource("memory", type="AverageValue")), KEDA,
        f"{METRIC}.resource.target.averageValue", "the AverageValue type should be set",
    ),
    "keda: more than all of the processor": (
        scaled(resource("cpu", type="Utilization", averageUtilization=101)), KEDA,
        f"{METRIC}.resource.target.averageUtilization", PERCENT,
    ),
    "keda: an external metric that is not told": (
        scaled({"type": "External"}), KEDA, f"{METRIC}.external",
        "metricSpec.External is not set for external metric source type",
    ),
    "keda: a metric of the pod that is not told": (
        scaled({"type": "PodMetric"}), KEDA, f"{METRIC}.podmetric",
        "metricSpec.PodMetric is not set for pod metric source type",
    ),
    "keda: an empty query of the pod": (
        scaled(pod_metric("")), KEDA, f"{METRIC}.podmetric.metric.query",
        "the query should not be empty",
    ),
    **{
        f"a canary with {field}": (
            {"predictor": {"model": MODEL},
             "canary": [{"trafficPercent": 10,
                         "predictor": {"name": "v2", "model": MODEL, field: value}}]}, {},
            f"spec.canary[0].predictor.{field}",
            f'"{field}" is not supported in a canary; remove it',
        )
        for field, value in {"workerSpec": {}, "scaleTarget": 1, "scaleMetric": "cpu",
                             "autoScaling": {"metrics": []}}.items()
    },
    "a canary of what has no model": (
        {"predictor": {"containers": [CONTAINER]},
         "canary": [{"trafficPercent": 10, "predictor": {"name": "v2", "model": MODEL}}]}, {},
        "spec.predictor",
        "canary needs a stable predictor with model or storageUri; set one of them",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "annotations", "path", "text"), REFUSED.values(), ids=REFUSED)
def test_a_spec_is_refused_with_kserves_text_and_the_field(
    admit: Any, service: Any, spec: Any, annotations: Any, path: str, text: str
) -> None:
    obj = service()
    obj["spec"] = copy.deepcopy(spec)
    obj["metadata"]["annotations"] |= annotations
    admitted = admit(obj)
    assert admitted.errors == ()
    assert admitted.denied.splitlines()[0] == text
    assert admitted.causes[0].path == path


def test_knatives_own_autoscaler_of_the_processor_follows_the_rules_of_hpa(
    admit: Any, service: Any
) -> None:
    obj = service({"model": MODEL, "scaleMetric": "rps"}, "Knative")
    obj["metadata"]["annotations"]["autoscaling.knative.dev/class"] = "hpa.autoscaling.knative.dev"
    assert admit(obj).denied == "[rps] is not a supported metric"


@pytest.mark.parametrize("scaler", ["external", "none", None])
def test_other_autoscalers_of_standard_mode_are_asked_nothing(
    admit: Any, service: Any, scaler: str | None
) -> None:
    obj = service({"model": MODEL, "scaleMetric": "rps", "scaleTarget": 0})
    obj["metadata"]["annotations"] |= {CLASS: scaler} if scaler else {}
    assert admit(obj).denied == ""


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        ("uri", "", "should be at least 1 chars long"),
        ("mountPath", "mnt/models", "should match '^/.*'"),
    ],
    ids=["no URI", "a relative path"],
)
def test_what_the_schema_of_several_uris_refuses(
    admit: Any, service: Any, place: str, value: str, text: str
) -> None:
    uri = {"uri": "s3://b/m", "mountPath": "/mnt/models/a", place: value}
    model = {"modelFormat": {"name": "sklearn"}}
    error = admit(service({"model": model, "storageUris": [uri]})).errors[0]
    assert error.path == f"spec.predictor.storageUris[0].{place}"
    assert error.message.endswith(text)
