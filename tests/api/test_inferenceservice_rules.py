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


BROKEN: list[tuple[str, dict[str, Any], dict[str, str], str, str]] = [
    (
        "PYTHONPATH in the model's container",
        with_model(env=env("PYTHONPATH")),
        {},
        "spec.predictor.model.env[0]",
        (
            'the InferenceService "iris" is invalid: '
            'setting PYTHONPATH in container "" is not allowed '
            "for security reasons"
        ),
    ),
    (
        "PYTHONPATH in an init container",
        {"model": MODEL, "initContainers": [{"name": "get", "env": env("PYTHONPATH")}]},
        {},
        "spec.predictor.initContainers[0].env[0]",
        (
            'the InferenceService "iris" is invalid: setting PYTHONPATH in container "get" is not '
            "allowed for security reasons"
        ),
    ),
    (
        "an autoscaler class that nobody knows",
        {"model": MODEL},
        {CLASS: "kpa"},
        f"metadata.annotations.{CLASS}",
        "[kpa] is not a supported autoscaler class type",
    ),
    (
        "several containers in workerSpec",
        multi_node({"containers": [{"name": "a"}, {"name": "b"}]}),
        {CLASS: "none"},
        "spec.predictor.workerSpec.containers",
        (
            'the InferenceService "iris" is invalid: '
            "setting multiple containers in workerSpec is not "
            "allowed"
        ),
    ),
    (
        "a parallelism variable beside workerSpec",
        multi_node(env=env("TENSOR_PARALLEL_SIZE")),
        {CLASS: "none"},
        "spec.predictor.model.env",
        (
            'the InferenceService "iris" is invalid: setting TENSOR_PARALLEL_SIZE in environment '
            "variables is not allowed"
        ),
    ),
    (
        "a GPU type that is not listed",
        multi_node(resources={"limits": {"vendor.com/gpu": 1}}),
        {CLASS: "none"},
        "spec.predictor.model.resources",
        (
            'the InferenceService "iris" is invalid: Unknown GPU resource type. Set '
            "'serving.kserve.io/gpu-resource-types' annotation to use custom gpu resource type"
        ),
    ),
    (
        "several nodes and a model that cannot be shared",
        multi_node(storageUri="s3://bucket/model"),
        {CLASS: "none"},
        "spec.predictor.model.storageUri",
        (
            "the InferenceService \"iris\" is invalid: Multinode only supports 'pvc' and 'oci' "
            "Storage Protocol(s3)"
        ),
    ),
    (
        "several nodes and an autoscaler",
        multi_node(),
        {CLASS: "hpa"},
        f"metadata.annotations.{CLASS}",
        "the InferenceService \"iris\" is invalid: Multinode only supports 'none' autoscaler(hpa)",
    ),
    (
        "a pipeline over no node",
        multi_node({"pipelineParallelSize": 0}),
        {CLASS: "none"},
        "spec.predictor.workerSpec.pipelineParallelSize",
        (
            'the InferenceService "iris" is invalid: '
            "WorkerSpec.PipelineParallelSize cannot be less "
            "than 1(0)"
        ),
    ),
    (
        "a model of its own for the transformer beside the predictor",
        {
            "containers": [
                {"name": "kserve-container"},
                {"name": "transformer-container", "env": env("STORAGE_URI")},
            ]
        },
        {},
        "spec.predictor.containers[1].env",
        "storage uri should not be specified in transformer container",
    ),
    (
        "a name for a standard predictor's container",
        with_model(name="mine"),
        {},
        "spec.predictor.model.name",
        "the 'name' field is not allowed in standard predictor",
    ),
    (
        "one URI and several",
        {"model": MODEL, "storageUris": [{"uri": "s3://a"}]},
        {},
        "spec.predictor.storageUris",
        "Setting both StorageURI and StorageURIs is not supported.",
    ),
    (
        "a mount path that climbs out",
        {
            "model": {"modelFormat": {"name": "sklearn"}},
            "storageUris": [{"uri": "s3://a", "mountPath": "/mnt/../etc"}],
        },
        {},
        "spec.predictor.storageUris[0].mountPath",
        "storage path cannot contain '..' for security reasons: /mnt/../etc",
    ),
    (
        "mount paths with nothing in common",
        {
            "model": {"modelFormat": {"name": "sklearn"}},
            "storageUris": [
                {"uri": "s3://a", "mountPath": "/a/x"},
                {"uri": "s3://b", "mountPath": "/b/x"},
            ],
        },
        {},
        "spec.predictor.storageUris",
        (
            "storage paths must have a common parent directory. Current paths: [/a/x /b/x] have no "
            "common parent beyond root"
        ),
    ),
    (
        "an encrypted model without a URI",
        {"model": {"modelFormat": {"name": "sklearn"}, "confidential": {"enabled": True}}},
        {},
        "spec.predictor.model.storageUri",
        "confidential model serving requires storageUri to be set",
    ),
    (
        "a key that has no address",
        with_model(confidential={"enabled": True, "resourceId": "key"}),
        {},
        "spec.predictor.model.confidential.resourceId",
        'invalid confidential resourceId format "key", expected kbs:///<repo>/<type>/<tag>',
    ),
    ("a predictor that is nothing", {}, {}, "spec.predictor", ONE_OF_PREDICTOR),
    (
        "a predictor that is two things",
        {"sklearn": {}, "xgboost": {}},
        {},
        "spec.predictor",
        ONE_OF_PREDICTOR,
    ),
    (
        "a protocol that a custom predictor cannot speak",
        {"containers": [{"name": "kserve-container", "env": env("PROTOCOL", "v3")}]},
        {},
        "spec.predictor.containers[0].env",
        "invalid protocol v1, v2. Must be one of [v3]",
    ),
    (
        "negative concurrency",
        {"model": MODEL, "containerConcurrency": -1},
        {},
        "spec.predictor.containerConcurrency",
        "parallelism cannot be less than 0",
    ),
    (
        "fewer than no replicas",
        {"model": MODEL, "minReplicas": -1},
        {},
        "spec.predictor.minReplicas",
        "'MinReplicas' cannot be less than 0",
    ),
    (
        "at most fewer than no replicas",
        {"model": MODEL, "maxReplicas": -1},
        {},
        "spec.predictor.maxReplicas",
        "'MaxReplicas' cannot be less than 0",
    ),
    (
        "more replicas at least than at most",
        {"model": MODEL, "minReplicas": 3, "maxReplicas": 2},
        {},
        "spec.predictor.minReplicas",
        "'MinReplicas' cannot be greater than MaxReplicas",
    ),
    (
        "a logger without a mode",
        {"model": MODEL, "logger": {"url": "http://sink"}},
        {},
        "spec.predictor.logger.mode",
        "invalid logger type",
    ),
    (
        "a logger with half a storage",
        {"model": MODEL, "logger": {"mode": "all", "storage": {"path": "/logs"}}},
        {},
        "spec.predictor.logger.storage",
        "invalid logger storage configuration",
    ),
    (
        "hpa: a metric that it cannot see",
        scaled(scaleMetric="rps"),
        {CLASS: "hpa"},
        "spec.predictor.scaleMetric",
        "[rps] is not a supported metric",
    ),
    (
        "hpa: more than all of the processor",
        scaled(scaleTarget=101),
        {CLASS: "hpa"},
        "spec.predictor.scaleTarget",
        PERCENT,
    ),
    (
        "hpa: no memory at all",
        scaled(scaleMetric="memory", scaleTarget=0),
        {CLASS: "hpa"},
        "spec.predictor.scaleTarget",
        "the target memory should be greater than 1 MiB",
    ),
    (
        "hpa: a metric from elsewhere",
        scaled(query(value=1)),
        {CLASS: "hpa"},
        "spec.predictor.autoScaling.metrics[0].type",
        (
            "invalid HPA metric source type with value [External],valid metric source types are "
            "Resource"
        ),
    ),
    (
        "keda: scaleMetric",
        scaled(scaleMetric="cpu"),
        {CLASS: "keda"},
        "spec.predictor.scaleMetric",
        "ScaleMetric is not supported for KEDA",
    ),
    (
        "keda: processor by value",
        scaled(resource("cpu", type="Value", value=1)),
        {CLASS: "keda"},
        "spec.predictor.autoScaling.metrics[0].resource.target",
        "the cpu target value type should be Utilization",
    ),
    (
        "keda: hardly any memory",
        scaled(resource("memory", type="AverageValue", averageValue="1Ki")),
        {CLASS: "keda"},
        "spec.predictor.autoScaling.metrics[0].resource.target.averageValue",
        "the memory target value should be greater than 1 MiB",
    ),
    (
        "keda: no utilisation where that is the type",
        scaled(resource("cpu", type="Utilization")),
        {CLASS: "keda"},
        "spec.predictor.autoScaling.metrics[0].resource.target.averageUtilization",
        "the AverageUtilization type should be set",
    ),
    (
        "keda: an empty query",
        scaled(query("", value=1)),
        {CLASS: "keda"},
        "spec.predictor.autoScaling.metrics[0].external.metric.query",
        "the query should not be empty",
    ),
    (
        "keda: a query without a threshold",
        scaled(query()),
        {CLASS: "keda"},
        "spec.predictor.autoScaling.metrics[0].external.target.value",
        "the target threshold value should not be empty",
    ),
]

KNATIVE_BROKEN: list[tuple[str, dict[str, Any], str]] = [
    (
        "a deployment strategy",
        scaled(deploymentStrategy={"type": "Recreate"}),
        "customizing deploymentStrategy is only supported for raw deployment mode",
    ),
    ("a metric of the HPA", scaled(scaleMetric="cpu"), "[cpu] is not a supported metric"),
    (
        "no requests per second",
        scaled(scaleMetric="rps", scaleTarget=0),
        "the target for rps should be greater than 1",
    ),
]


@pytest.mark.parametrize(
    ("predictor", "annotations", "path", "text"),
    [row[1:] for row in BROKEN],
    ids=[row[0] for row in BROKEN],
)
def test_a_broken_rule_is_refused_with_kserves_text_and_the_field(
    admit: Any, service: Any, predictor: Any, annotations: Any, path: str, text: str
) -> None:
    obj = service(copy.deepcopy(predictor))
    obj["metadata"]["annotations"] |= annotations
    admitted = admit(obj)
    assert admitted.errors == ()
    assert admitted.denied.splitlines()[0] == text
    assert admitted.causes[0].path == path


@pytest.mark.parametrize(
    ("predictor", "text"), [row[1:] for row in KNATIVE_BROKEN], ids=[r[0] for r in KNATIVE_BROKEN]
)
def test_knative_mode_refuses(admit: Any, service: Any, predictor: Any, text: str) -> None:
    assert admit(service(copy.deepcopy(predictor), "Knative")).denied == text


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


class TestCanaries:
    """Rules about `spec.canary`."""

    def canary(self, name: str | None = "v2", percent: int = 10, **fields: Any) -> dict[str, Any]:
        named = {} if name is None else {"name": name}
        predictor = {**named, "model": {**MODEL, "storageUri": "s3://v2"}, **fields}
        return {"predictor": predictor, "trafficPercent": percent}

    def test_a_canary_is_allowed_in_standard_mode_only(self, admit: Any, service: Any) -> None:
        assert admit(service(canary=[self.canary()])).denied == ""
        denied = admit(service(mode="Knative", canary=[self.canary()])).denied
        assert denied.startswith('canary is not supported in deploymentMode "Knative"')

    def test_a_share_is_a_percentage(self, admit: Any, service: Any) -> None:
        errors = admit(service(canary=[self.canary(percent=101)])).errors
        where = "spec.canary[0].trafficPercent"
        text = f"Invalid value: 101: {where} in body should be less than or equal to 100"
        assert (errors[0].path, errors[0].message) == (where, text)

    @pytest.mark.parametrize(
        ("canaries", "path"),
        [
            ([{"percent": 60}, {"name": "v3", "percent": 60}], "spec.canary"),
            ([{"name": None}], "spec.canary[0].predictor.name"),
            ([{}, {}], "spec.canary[1].predictor.name"),
            ([{"maxReplicas": 2}], "spec.canary[0].predictor.maxReplicas"),
            ([{"minReplicas": 2}], "spec.canary[0].predictor.minReplicas"),
            ([{"sklearn": {}}], "spec.canary[0].predictor"),
        ],
        ids=[
            "shares over 100 %",
            "no name",
            "the same name twice",
            "scaling",
            "more replicas than the stable predictor",
            "two implementations",
        ],
    )
    def test_a_canary_is_refused_for(
        self, admit: Any, service: Any, canaries: Any, path: str
    ) -> None:
        admitted = admit(service(canary=[self.canary(**fields) for fields in canaries]))
        assert [cause.path for cause in admitted.causes] == [path]
