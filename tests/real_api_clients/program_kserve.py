"""KServe's own `KServeClient` and models (kserve 0.21.0)."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from kserve import KServeClient
from kserve.models import (
    V1alpha1InferenceGraph,
    V1alpha1InferenceGraphSpec,
    V1alpha1InferenceRouter,
    V1alpha1InferenceStep,
    V1alpha1LocalModelCache,
    V1alpha1LocalModelCacheSpec,
    V1alpha1LocalModelNamespaceCache,
    V1alpha1LocalModelNamespaceCacheSpec,
    V1alpha1LocalModelNodeGroup,
    V1alpha1LocalModelNodeGroupSpec,
    V1alpha1ModelSpec,
    V1alpha1TrainedModel,
    V1alpha1TrainedModelSpec,
    V1beta1InferenceService,
    V1beta1InferenceServiceSpec,
    V1beta1ModelFormat,
    V1beta1ModelSpec,
    V1beta1PredictorSpec,
    V1beta1SKLearnSpec,
)
from kubernetes.client import CoreV1Api, V1ObjectMeta
from steps import run_steps, step

MODEL, GATEWAY = sys.argv[1:]
ALPHA, BETA = "serving.kserve.io/v1alpha1", "serving.kserve.io/v1beta1"
NAME = {"name": "iris", "namespace": "default"}
kserve = KServeClient(context="sampan")


def make_service(min_replicas: int | None = None) -> V1beta1InferenceService:
    predictor = V1beta1PredictorSpec(
        min_replicas=min_replicas,
        model=V1beta1ModelSpec(model_format=V1beta1ModelFormat(name="sklearn"), storage_uri=MODEL),
    )
    return V1beta1InferenceService(
        api_version=BETA,
        kind="InferenceService",
        metadata=V1ObjectMeta(**NAME),
        spec=V1beta1InferenceServiceSpec(predictor=predictor),
    )


def wait_ready(generation: int | None = None) -> None:
    kserve.wait_isvc_ready(
        **NAME, timeout_seconds=90, polling_interval=1, expected_generation=generation
    )


@step
def create_and_wait_until_it_is_ready():
    made = kserve.create(make_service())
    assert made["metadata"]["generation"] == 1
    wait_ready(generation=1)


@step
def get_with_watch_ends_once_it_is_ready():
    kserve.get(**NAME, watch=True, timeout_seconds=60)
    assert kserve.get(**NAME)["status"]["url"].startswith("http://iris.default.")
    assert len(kserve.get(namespace="default")["items"]) == 1


@step
def wait_model_ready_asks_the_gateway():
    kserve.wait_model_ready(
        "iris", "iris", isvc_namespace="default", cluster_ip=GATEWAY, polling_interval=1
    )


@step
def patch_changes_the_spec():
    changed = kserve.patch("iris", make_service(min_replicas=2))
    assert changed["spec"]["predictor"]["minReplicas"] == 2
    wait_ready(changed["metadata"]["generation"])


@step
def replace_fills_in_the_version_and_waits_for_the_new_generation():
    for _ in range(5):  # the client reads, then writes: the controller may come between
        try:
            kserve.replace("iris", make_service(min_replicas=1), watch=True, timeout_seconds=60)
            break
        except RuntimeError as error:
            if "the object has been modified" not in str(error):
                raise
            time.sleep(0.3)
    assert kserve.get(**NAME)["spec"]["predictor"]["minReplicas"] == 1


@step
def a_predictor_named_by_framework_becomes_a_model():
    service = make_service()
    service.metadata.name = "old-style"
    service.spec = V1beta1InferenceServiceSpec(
        predictor=V1beta1PredictorSpec(sklearn=V1beta1SKLearnSpec(storage_uri=MODEL))
    )
    predictor = kserve.create(service)["spec"]["predictor"]
    kserve.delete("old-style", "default")
    assert predictor["model"]["modelFormat"]["name"] == "sklearn"


@step
def trained_models_are_made_and_deleted():
    spec = V1alpha1TrainedModelSpec(
        inference_service="iris",
        model=V1alpha1ModelSpec(storage_uri="gs://models/a", framework="sklearn", memory="1Gi"),
    )
    model = V1alpha1TrainedModel(
        api_version=ALPHA,
        kind="TrainedModel",
        metadata=V1ObjectMeta(name="extra", namespace="default"),
        spec=spec,
    )
    kserve.create_trained_model(model, "default")
    kserve.delete_trained_model("extra", "default")


@step
def graphs_are_made_read_and_deleted():
    step_of_iris = V1alpha1InferenceStep(service_name="iris")
    nodes = {"root": V1alpha1InferenceRouter(router_type="Sequence", steps=[step_of_iris])}
    graph = V1alpha1InferenceGraph(
        api_version=ALPHA,
        kind="InferenceGraph",
        metadata=V1ObjectMeta(name="chain", namespace="default"),
        spec=V1alpha1InferenceGraphSpec(nodes=nodes),
    )
    kserve.create_inference_graph(graph)
    found = kserve.get_inference_graph("chain", "default")
    assert found["spec"]["nodes"]["root"]["steps"][0]["serviceName"] == "iris"
    assert kserve.is_ig_ready("chain", "default") in (True, False)
    kserve.delete_inference_graph("chain", "default")


@step
def model_caches_and_their_node_groups_are_made_read_and_deleted():
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
        "storageClassName": "standard",
    }
    volume = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "10Gi"},
        "hostPath": {"path": "/models"},
        "storageClassName": "standard",
    }
    group = V1alpha1LocalModelNodeGroup(
        api_version=ALPHA,
        kind="LocalModelNodeGroup",
        metadata=V1ObjectMeta(name="workers"),
        spec=V1alpha1LocalModelNodeGroupSpec(
            storage_limit="10Gi", persistent_volume_claim_spec=claim, persistent_volume_spec=volume
        ),
    )
    kserve.create_local_model_node_group(group)
    assert kserve.get_local_model_node_group("workers")["spec"]["storageLimit"] == "10Gi"
    what = {"model_size": "1Gi", "node_groups": ["workers"], "source_model_uri": "gs://models/a"}
    cache = V1alpha1LocalModelCache(
        api_version=ALPHA,
        kind="LocalModelCache",
        metadata=V1ObjectMeta(name="a"),
        spec=V1alpha1LocalModelCacheSpec(**what),
    )
    kserve.create_local_model_cache(cache)
    assert kserve.get_local_model_cache("a")["spec"]["sourceModelUri"] == "gs://models/a"
    kserve.delete_local_model_cache("a")
    inside = V1alpha1LocalModelNamespaceCache(
        api_version=ALPHA,
        kind="LocalModelNamespaceCache",
        metadata=V1ObjectMeta(name="a", namespace="default"),
        spec=V1alpha1LocalModelNamespaceCacheSpec(**what),
    )
    kserve.create_local_model_namespace_cache(inside)
    assert kserve.get_local_model_namespace_cache("a", "default")["metadata"]["uid"]
    kserve.delete_local_model_namespace_cache("a", "default")
    kserve.delete_local_model_node_group("workers")


@step
def set_credentials_makes_a_secret_and_hangs_it_on_the_service_account():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "credentials")
        file.write_text("[default]\naws_access_key_id = YQ==\naws_secret_access_key = Yg==\n")
        kserve.set_credentials(
            "S3", "default", str(file), "s3-reader", s3_endpoint="localhost:9000"
        )
    core = CoreV1Api()
    account = core.read_namespaced_service_account("s3-reader", "default")
    secret = core.read_namespaced_secret(account.secrets[0].name, "default")
    assert secret.metadata.annotations["serving.kserve.io/s3-endpoint"] == "localhost:9000"


@step
def a_mistake_is_told_in_the_words_of_the_webhook():
    wrong = make_service()
    wrong.metadata.name = "no-model"
    wrong.spec = V1beta1InferenceServiceSpec(predictor=V1beta1PredictorSpec())
    try:
        kserve.create(wrong)
    except RuntimeError as error:
        told = str(error)
    else:
        raise AssertionError("a predictor without a model was taken")
    assert "denied the request" in told


@step
def delete_takes_it_away():
    kserve.delete(**NAME)
    until = time.monotonic() + 60
    while kserve.get(namespace="default")["items"]:
        assert time.monotonic() < until
        time.sleep(0.2)


run_steps()
