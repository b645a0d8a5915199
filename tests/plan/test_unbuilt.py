"""Every field that is not acted on is named: by a warning, or by a block where it matters."""

from __future__ import annotations

import pytest

from sampan.api.config import Config
from sampan.plan.unbuilt import make_warnings, select_unbuilt

STANDARD = Config()
ANNOTATIONS = "metadata.annotations"


def warned(service, config=STANDARD):
    return [path for path, _ in make_warnings(service, config)]


def test_a_plain_service_gives_no_warning_and_no_block(make):
    assert make_warnings(make.service(), STANDARD) == ()
    assert select_unbuilt(make.service(), STANDARD) is None


FIELDS = {
    "the type of a metric": {"scaleMetricType": "Utilization"},
    "a logger": {"logger": {"mode": "all"}},
    "a storage container": {"storageContainerName": "x"},
}


@pytest.mark.parametrize("spec", FIELDS.values(), ids=FIELDS.keys())
def test_the_predictor_s_field_is_named(make, spec):
    last = list(spec)[-1]
    assert warned(make.service(**spec)) == [f"spec.predictor.{last}"]


SILENT = {
    "scale to zero": {"minReplicas": 0},
    "as many replicas at most as at least": {"minReplicas": 2, "maxReplicas": 2},
    "no upper limit": {"minReplicas": 2, "maxReplicas": 0},
    "one replica at most": {"maxReplicas": 1},
    "more replicas at most than at least": {"minReplicas": 2, "maxReplicas": 3},
    "a target of scaling": {"scaleTarget": 80},
    "a metric of scaling": {"scaleMetric": "cpu"},
    "metrics": {"autoScaling": {"metrics": []}},
    "a timeout, which is kept": {"timeout": 5},
    "a limit on concurrency, which the platform is told": {"containerConcurrency": 1},
    "a batcher, which the platform is told": {"batcher": {"maxBatchSize": 8}},
    "labels and annotations, which are kept": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
    "recreation, which is kept": {"deploymentStrategy": {"type": "Recreate"}},
    "a field that is null": {"logger": None},
}


@pytest.mark.parametrize("spec", SILENT.values(), ids=SILENT.keys())
def test_there_is_nothing_to_say_of(make, spec):
    assert warned(make.service(**spec)) == []


def test_the_numbers_of_a_rolling_update_are_named(make):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    assert warned(make.service(deploymentStrategy=strategy)) == [
        "spec.predictor.deploymentStrategy.rollingUpdate"
    ]


NAMED_ANNOTATIONS = [
    ("serving.kserve.io/disable-auto-update", "true"),
    ("serving.kserve.io/enable-metric-aggregation", "true"),
    ("serving.kserve.io/enable-prometheus-scraping", "true"),
    ("serving.kserve.io/nodegroup", "workers"),
]


@pytest.mark.parametrize(("key", "value"), NAMED_ANNOTATIONS)
def test_the_annotation_is_named(make, key, value):
    assert warned(make.service(meta_annotations={key: value})) == [f'{ANNOTATIONS}["{key}"]']


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("serving.kserve.io/disable-auto-update", "false"),
        ("serving.kserve.io/autoscalerClass", "none"),
        ("serving.kserve.io/autoscalerClass", "external"),
        ("serving.kserve.io/autoscalerClass", "hpa"),
        ("serving.kserve.io/autoscalerClass", "keda"),
        ("serving.kserve.io/storageSecretName", "mine"),
    ],
)
def test_the_annotation_asks_for_nothing_that_is_missing(make, key, value):
    assert warned(make.service(meta_annotations={key: value})) == []


def test_no_replica_at_all_is_no_scale_to_zero_when_no_autoscaler_is_meant(make):
    none = {"serving.kserve.io/autoscalerClass": "none"}
    assert warned(make.service(minReplicas=0, meta_annotations=none)) == []


def test_a_service_for_the_cluster_alone_is_named(make):
    key = "networking.kserve.io/visibility"
    assert warned(make.service(meta_labels={key: "cluster-local"})) == [f'metadata.labels["{key}"]']


@pytest.mark.parametrize("mode", ["Standard", "Serverless"])
def test_a_share_of_the_traffic_and_its_tags_are_acted_on_in_every_mode(make, mode):
    annotations = {
        "serving.kserve.io/deploymentMode": mode,
        "serving.kserve.io/enable-tag-routing": "true",
    }
    assert warned(make.service(canaryTrafficPercent=10, meta_annotations=annotations)) == []


def test_two_ways_to_share_at_once_are_named(make):
    service = make.service(canaryTrafficPercent=10)
    canary = {"trafficPercent": 20, "predictor": {"name": "b"}}
    service = {**service, "spec": {**service["spec"], "canary": [canary]}}
    assert warned(service) == ["spec.predictor.canaryTrafficPercent"]


def test_a_model_without_a_place_is_named(make):
    service = make.service(model={"storageUri": None})
    assert warned(service) == ["spec.predictor.model.storageUri"]


def test_but_not_of_a_server_that_fetches_by_itself(make):
    model = {"storageUri": None, "modelFormat": {"name": "huggingface"}}
    assert warned(make.service(model=model)) == []


CONFIGS = {
    "a template of paths": (Config(path_template="/x"), "ingress.pathTemplate"),
    "no ingress at all": (
        Config(disable_ingress_creation=True),
        "ingress.disableIngressCreation",
    ),
    "another scheme": (Config(url_scheme="https"), "ingress.urlScheme"),
}


@pytest.mark.parametrize("case", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_operator_s_setting_is_named(make, case):
    config, path = case
    assert warned(make.service(), config) == [f"inferenceservice-config {path}"]


def test_each_warning_is_a_sentence_without_its_stop(make):
    spec = {k: v for fields in FIELDS.values() for k, v in fields.items()}
    warnings = make_warnings(make.service(**spec), STANDARD)
    assert len(warnings) >= len(FIELDS) - 1
    assert all(sentence and not sentence.endswith(".") for _, sentence in warnings)


BLOCKS = {
    "several nodes": ({"workerSpec": {}}, "MultiNodeNotSupported", "spec.predictor.workerSpec"),
    "an encrypted model": (
        {"model": {"confidential": {"enabled": True}}}, "ConfidentialNotSupported", "confidential",
    ),
    "a storage spec without a path": (
        {"model": {"storageUri": None, "storage": {"key": "minio"}}},
        "StorageSpecNotSupported", '(key "minio") names no path',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BLOCKS.values(), ids=BLOCKS.keys())
def test_what_would_answer_wrongly_blocks(make, case):
    spec, reason, words = case
    blocked = select_unbuilt(make.service(**spec), STANDARD)
    assert blocked is not None
    assert blocked.reason == reason
    assert words in blocked.message
    assert not blocked.message.endswith(".")


def test_a_storage_spec_of_the_built_in_explainer_is_named(make):
    art = {"art": {"type": "SquareAttack", "storage": {"key": "minio"}}}
    assert warned(make.service(explainer=art)) == ["spec.explainer.art.storage"]


def test_a_field_is_named_in_whichever_component_it_stands(make):
    fields = {"logger": {}, "scaleMetricType": "Value",
              "deploymentStrategy": {"rollingUpdate": {"maxSurge": 1}}}  # fmt: skip
    paths = warned(make.service(transformer=fields, explainer=fields))
    for component in ("transformer", "explainer"):
        here = {p.removeprefix(f"spec.{component}.") for p in paths if component in p}
        assert here == {*fields, "deploymentStrategy.rollingUpdate"} - {"deploymentStrategy"}


MODES = {
    "ModelMesh is": ("ModelMesh", {}, False),
    "Standard is": ("Standard", {}, False),
    "its old name is": ("RawDeployment", {}, False),
    "Knative is": ("Knative", {}, False),
}


@pytest.mark.parametrize("case", MODES.values(), ids=MODES.keys())
def test_deployment_modes(make, case):
    mode, spec, blocks = case
    service = make.service(meta_annotations={"serving.kserve.io/deploymentMode": mode}, **spec)
    assert (select_unbuilt(service, STANDARD) is not None) is blocks


def test_a_model_that_is_not_encrypted_does_not_block(make):
    service = make.service(model={"confidential": {"enabled": False}})
    assert select_unbuilt(service, STANDARD) is None


def test_of_two_places_of_a_model_the_one_that_is_too_many_is_told_where_the_place_is_decided(make):
    model = {"storageUri": "s3://b/m", "storage": {"key": "minio", "path": "iris"}}
    assert select_unbuilt(make.service(model=model), STANDARD) is None
    keyed = {"storageUri": "s3://b/m", "storage": {"key": "minio"}}
    assert select_unbuilt(make.service(model=keyed), STANDARD) is None
