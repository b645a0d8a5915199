"""The workload of a predictor: metadata, replicas, model name, protocol, hash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api.config import ANNOTATIONS_KEPT_BACK, Config
from sampan.plan.build import build_plan
from sampan.plan.component import make_replicas, make_template_hash
from sampan.plan.types import ModelSource

SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"


def workload(make, service=None, runtime=None, **fields):
    runtimes = (runtime or make.runtime(),)
    plan = build_plan(make.snapshot(service, cluster_runtimes=runtimes, **fields))
    assert plan.blocked is None
    (found,) = plan.workloads
    return found


def test_a_plain_predictor(make):
    found = workload(make)
    assert found.name == "iris-predictor"
    assert found.component.value == "predictor"
    assert found.replicas == 1
    assert found.model_name == "iris"
    assert found.protocol == "v1"
    assert found.models == (ModelSource("file:///models/iris"),)
    assert found.runtime_name == "kserve-sklearnserver"
    assert found.strategy == "RollingUpdate"
    assert found.timeout_seconds is None
    assert found.container_concurrency is None
    assert found.template["metadata"] == {
        "labels": {
            "serving.kserve.io/inferenceservice": "iris",
            "component": "predictor",
            "app": "isvc.iris-predictor",
        },
        "annotations": {
            "serving.kserve.io/deploymentMode": "Standard",
            SOURCE: "file:///models/iris",
        },
    }


def test_a_named_predictor_has_its_name_in_the_middle(make):
    found = workload(make, make.service(name="iris") | {"spec": variant(make, "blue")})
    assert found.name == "iris-blue-predictor"
    assert found.template["metadata"]["labels"]["app"] == "isvc.iris-blue-predictor"


def variant(make, name):
    spec = make.service()["spec"]
    return {"predictor": {**spec["predictor"], "name": name}}


def test_the_component_wins_over_the_service_and_that_over_the_runtime(make):
    runtime = make.runtime(
        labels={"a": "runtime", "b": "runtime", "c": "runtime"},
        annotations={"a": "runtime", "b": "runtime", "c": "runtime"},
    )
    service = make.service(
        meta_labels={"b": "service", "c": "service"},
        meta_annotations={"b": "service", "c": "service"},
        labels={"c": "component"},
        annotations={"c": "component"},
    )
    metadata = workload(make, service, runtime).template["metadata"]
    expected = {"a": "runtime", "b": "service", "c": "component"}
    assert {k: metadata["labels"][k] for k in expected} == expected
    assert {k: metadata["annotations"][k] for k in expected} == expected


def test_system_labels_cannot_be_taken(make):
    names = {"serving.kserve.io/inferenceservice": "x", "component": "x", "app": "x"}
    metadata = workload(make, make.service(labels=names, meta_labels=names)).template["metadata"]
    assert metadata["labels"] == {
        "serving.kserve.io/inferenceservice": "iris",
        "component": "predictor",
        "app": "isvc.iris-predictor",
    }


@pytest.mark.parametrize("key", sorted(set(ANNOTATIONS_KEPT_BACK) - {SOURCE}))
def test_some_annotations_never_reach_the_template(make, key):
    service = make.service(meta_annotations={key: "x"})
    assert key not in workload(make, service).template["metadata"]["annotations"]


def test_the_operator_may_keep_more_back(make):
    config = Config(annotations_kept_back=(*ANNOTATIONS_KEPT_BACK, "mine"))
    service = make.service(meta_annotations={"mine": "x", "yours": "y"})
    annotations = workload(make, service, config=config).template["metadata"]["annotations"]
    assert "mine" not in annotations
    assert annotations["yours"] == "y"


def test_a_written_source_annotation_is_replaced_by_the_true_one(make):
    service = make.service(meta_annotations={SOURCE: "gs://elsewhere"})
    annotations = workload(make, service).template["metadata"]["annotations"]
    assert annotations[SOURCE] == "file:///models/iris"


REPLICAS = {
    "one where nothing is said": ({}, {}, 1),
    "as many as at least": ({"minReplicas": 3}, {}, 3),
    "one instead of none": ({"minReplicas": 0}, {}, 1),
    "none when no autoscaler is meant": (
        {"minReplicas": 0},
        {"serving.kserve.io/autoscalerClass": "none"},
        0,
    ),
    "the upper limit plays no part": ({"maxReplicas": 5}, {}, 1),
}


@pytest.mark.parametrize("case", REPLICAS.values(), ids=REPLICAS.keys())
def test_replicas(make, case):
    spec, annotations, expected = case
    assert make_replicas(make.service(meta_annotations=annotations, **spec)) == expected


NAMES = {
    "the service's name": ([], "iris"),
    "an argument with an equals sign": (["--model_name=other"], "other"),
    "an argument and its value": (["--model_name", "other"], "other"),
    "the last one counts": (["--model_name=a", "--model_name", "b"], "b"),
    "an argument without a value is none": (["--model_name"], "iris"),
    "an argument that only begins so is another": (["--model_name_x=a"], "iris"),
    "an empty name is kept as the user wrote it": (["--model_name=a=b"], "a=b"),
}


@pytest.mark.parametrize("case", NAMES.values(), ids=NAMES.keys())
def test_model_name(make, case):
    args, expected = case
    assert workload(make, make.service(model={"args": args})).model_name == expected


def test_the_model_name_may_stand_in_the_command(make):
    container = {"name": "kserve-container", "command": ["serve", "--model_name=other"]}
    assert workload(make, make.service(containers=[container])).model_name == "other"


PROTOCOLS = {
    "the model's": ({"model": {"protocolVersion": "v2"}}, "v2"),
    "else the runtime's lowest": ({}, "v1"),
    "a custom predictor's variable": (
        {"containers": [{"name": "c", "env": [{"name": "PROTOCOL", "value": "v2"}]}]}, "v2",
    ),
    "a custom predictor without one speaks v1": ({"containers": [{"name": "c"}]}, "v1"),
    "a collocated transformer answers instead": (
        {"containers": [
            {"name": "kserve-container", "env": [{"name": "PROTOCOL", "value": "grpc-v2"}]},
            {"name": "transformer-container", "env": [{"name": "PROTOCOL", "value": "v2"}]},
        ]},
        "v2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PROTOCOLS.values(), ids=PROTOCOLS.keys())
def test_protocol(make, case):
    spec, expected = case
    assert workload(make, make.service(**spec)).protocol == expected


def test_timeout_concurrency_and_strategy_go_on(make):
    service = make.service(
        timeout=7, containerConcurrency=2, deploymentStrategy={"type": "Recreate"}
    )
    found = workload(make, service)
    assert (found.timeout_seconds, found.container_concurrency) == (7, 2)
    assert found.strategy == "Recreate"


def test_probes_are_left_as_they_stand(make):
    probe = {"httpGet": {"path": "/ready", "port": 9999}, "unknownField": {"kept": True}}
    found = workload(make, make.service(model={"readinessProbe": probe}))
    assert found.template["spec"]["containers"][0]["readinessProbe"] == probe


# The hash


CHANGES = {
    "an argument": {"model": {"args": ["-x"]}},
    "the image's version": {"model": {"runtimeVersion": "2"}},
    "the place of the model": {"model": {"storageUri": "s3://b/new"}},
    "a pod field": {"nodeSelector": {"a": "b"}},
    "an annotation of the pods": {"annotations": {"restartedAt": "now"}},
    "trust": {"meta_annotations": {"serving.sampan.dev/trust": "true"}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_hash_changes_with(make, change):
    assert workload(make, make.service(**change)).template_hash != workload(make).template_hash


SAME = {
    "more replicas": {"minReplicas": 3},
    "a timeout": {"timeout": 3},
    "another strategy": {"deploymentStrategy": {"type": "Recreate"}},
    "a newer generation": {"generation": 7},
    "what kubectl last applied": {
        "meta_annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    },
    "a status": {"status": {"url": "http://x"}},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_the_hash_stays_with(make, change):
    assert workload(make, make.service(**change)).template_hash == workload(make).template_hash


def test_the_hash_begins_with_its_version(make):
    version, _, digest = workload(make).template_hash.partition("-")
    assert version == "v1"
    assert len(digest) == 10


def test_the_hash_is_this_one_until_its_version_changes():
    # A change here would restart every model at an upgrade: raise HASH_VERSION instead.
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}}
    assert make_template_hash(template, (ModelSource("s3://b/m"),)) == "v1-c8b4b81e88"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def reordered(value):
    if isinstance(value, dict):
        return {k: reordered(v) for k, v in reversed(value.items())}
    if isinstance(value, list):
        return [reordered(v) for v in value]
    return value


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_the_hash_does_not_hear_the_order_of_keys(template):
    assert make_template_hash(template, ()) == make_template_hash(reordered(template), ())


def test_the_hash_does_hear_the_order_of_lists():
    assert make_template_hash({"a": [1, 2]}, ()) != make_template_hash({"a": [2, 1]}, ())
