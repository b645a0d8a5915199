"""KServe's own samples and shipped runtimes, unmodified: by what each predictor runs here, or the
condition that it ends in, which names what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.api.config import parse_config
from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import CONFIGURATION
from sampan.machinery.registry import AdmissionContext
from sampan.plan.build import build_plan
from sampan.plan.observed import NOTHING
from sampan.plan.types import Component, Gateway, Snapshot
from sampan.platforms.local.images import make_image_table
from sampan.platforms.local.render import render, select_addressed
from sampan.runtimes import all_runtimes
from sampan.runtimes.images import render_images

SHARED = Path(__file__).parents[3] / "shared"
DATA = CONFIGURATION["data"]
NOT_INSTALLED = ("kserve-openvino",)  # a file of KServe's that no installation of it applies

RUNTIMES = {
    "kserve-autogluonserver": "autogluon",
    "kserve-huggingfaceserver": "huggingface",
    "kserve-huggingfaceserver-multinode": "command: bash",
    "kserve-lgbserver": "lightgbm",
    "kserve-mlserver": "mlserver",
    "kserve-openvino": "ImageNotRunnable",
    "kserve-paddleserver": "paddle",
    "kserve-pmmlserver": "pmml",
    "kserve-predictiveserver": "predictive",
    "kserve-sklearnserver": "sklearn",
    "kserve-tensorflow-serving": "tensorflow",
    "kserve-torchserve": "torchserve",
    "kserve-tritonserver": "triton",
    "kserve-vllmserver": "vllmserver-cpu",
    "kserve-xgbserver": "xgboost",
}
"""Each shipped runtime, asked for by its name: the runtime here, or the reason."""

SAMPLES = {
    name: found
    for found, names in {
        "autogluon": (
            "autogluon-titanic-407032 autogluon-ts-forecast-0f937d autogluon-ts-forecast-a29855"
        ),
        "command: python": ("aix-explainer-f7639a"),
        "DeploymentModeNotSupported": ("sklearn-driver-transformer-4cd83b"),
        "huggingface": (
            "embedding-model-4d205c embedding-model-e51779 huggingface-bert-0c8bb7 "
            "huggingface-bert-76dce2 huggingface-bert-87d2c9 huggingface-bert-c52d47 "
            "huggingface-bert-d74d10 huggingface-bert-with-logits-35e830 "
            "huggingface-distilbert-4d3ed7 huggingface-distilbert-79a215 "
            "huggingface-distilbert-probs-6b395a huggingface-fbopt-05692e "
            "huggingface-fbopt-164dcd huggingface-llm-150c0b huggingface-t5-a6d398 "
            "llama-31-8b-instruct-11ac1f llama3-1b-fd89e4 llama3-8b-48dd24 llama3-8b-bfef65 "
            "llama3-vllm-caaa6b modelscope-qwen-267950 qwen-llm-dba4a4"
        ),
        "ImageNotRunnable": (
            ""
            "custom-transformer-collocation-fa01b7 german-credit-416114 "
            "paddleserving-custom-0240f3 single-3-054ecd transformer-collocation-92bbf1"
        ),
        "Invalid": (
            "huggingface-llama3-1-50fb1d huggingface-llama3-71197c moviesentiment-45d104 "
            "moviesentiment-d5acb2 sklearn-iris-b8c3cf sklearn-iris-example-43947e"
        ),
        "InvalidPredictorSpec": ("iris-model-0a5831"),
        "lightgbm": (
            "lightgbm-iris-5a6e22 lightgbm-iris-8f7e9e lightgbm-iris-c26868 "
            "lightgbm-iris-grpc-073c4b lightgbm-iris-grpc-98baee"
        ),
        "mlserver": ("sklearn-irisv2-ba4092"),
        "MultiNodeNotSupported": ("huggingface-llama3-5ce4f4"),
        "NoSupportingRuntime": ("example-tensorflow-mnist-3dabff"),
        "NoSuchVersion": ("german-credit-35bf81 mnist-sample-9c1be2"),
        "paddle": ("paddle-resnet50-0a449d paddle-resnet50-a531cf paddle-v2-resnet50-grpc-f11af5"),
        "pmml": ("pmml-iris-grpc-4abaad pmml-iris-grpc-6853d9 spark-iris-grpc-dc995d"),
        "RuntimeNotRecognized": (
            "bloom-560m-e1ecaa llama3-multinode-mp-5d954c transformer-collocation-runtime-e18cec"
        ),
        "sklearn": (
            "aix-explainer-c10da0 availability-mode-model-82f928 "
            "configmap-defaults-example-d25612 example-sklearn-isvc-3e7d16 "
            "example-sklearn-isvc-5cc19c housing-125806 income-a001db moviesentiment-793125 "
            "resource-aware-example-589f14 sklearn-azure-8c4544 sklearn-from-uri-4e008a "
            "sklearn-from-uri-5e9221 sklearn-from-uri-75c47f sklearn-grpc-a8274b "
            "sklearn-iris-0a7425 sklearn-iris-115ea5 sklearn-iris-11a4b8 sklearn-iris-3385b5 "
            "sklearn-iris-4d82de sklearn-iris-64fc9a sklearn-iris-68026d sklearn-iris-81370b "
            "sklearn-iris-8b90a2 sklearn-iris-92b62f sklearn-iris-9f5d00 sklearn-iris-c4c357 "
            "sklearn-iris-c9cf8c sklearn-iris-f1c5bc sklearn-iris-grpc-ea0e2d "
            "sklearn-iris-hpa-7a4258 sklearn-iris-local-38d144 sklearn-mixedtype-3fa9df "
            "sklearn-oci-native-acfde2 sklearn-pvc-a46ff2 example-sklearn-isvc-6a5b27"
        ),
        "tensorflow": (
            "cifar10-4cd363 flower-sample-5d6993 flower-sample-8acc30 flowers-f413ef "
            "flowers-sample-46704c flowers-sample-dcda8c flowers-sample-gpu-147945 mnist-923455 "
            "mnist-93c18a mnist-s3-0fb296 my-model-0cd87d my-model-849398 my-model-d63eff "
            "my-model-f1e082 tensorflow-from-uri-6938ae tensorflow-from-uri-gzip-d35cc6 "
            "tensorflow-gpu-344451 tensorflow-gpu-3de56d tensorflow-pod-overrides-b138ca "
            "my-model-4f1b07"
        ),
        "torchserve": (
            "dog-breed-classifier-83604a pytorch-batcher-a6d9a0 torch-transformer-8e7512 "
            "torchserve-101aca torchserve-16b884 torchserve-bert-365e39 torchserve-bert-v2-91f995 "
            "torchserve-bloom-560m-e881c9 torchserve-gpu-0c5fc0"
        ),
        "triton": (
            "huggingface-triton-1d7e0c huggingface-triton-8f848c torch-transformer-45ed75 "
            "torch-transformer-597a15 torch-transformer-f8d5a9 torchscript-cifar-5839b4 "
            "torchscript-cifar-7af240 torchscript-cifar-9cd8d0 torchscript-cifar10-80e78c "
            "triton-mms-1fa24b triton-mms-b294e7"
        ),
        "xgboost": ("xgboost-iris-a4c6fa"),
    }.items()
    for name in names.split()
}
"""Each sample's predictor: the runtime here, or the reason."""


def read(kind: str, pattern: str) -> dict[str, dict[str, Any]]:
    paths = sorted((SHARED / kind).glob(pattern))
    return {path.stem: yaml.safe_load(path.read_text()) for path in paths}


SERVICES = read("samples", "inferenceservice-*.yaml")
SHIPPED = read("upstream", "kserve-*.yaml")
IMAGES = make_image_table(render_images(all_runtimes()), "test")

needs_shared = pytest.mark.skipif(
    not SERVICES, reason="no samples of KServe beside this repository (../shared)"
)


def outcome(service: dict[str, Any], runtimes: tuple[dict[str, Any], ...]) -> tuple[str, str]:
    """Return the runtime or the reason of a service's predictor, and the words of the reason."""
    if not service.get("spec"):
        return "Invalid", "spec is missing"  # the CRD's schema says so first
    service = {**service, "metadata": {"namespace": "default", **service["metadata"]}}
    resource = REGISTRY.for_object(service)
    if resource is None:
        return "NoSuchVersion", service["apiVersion"]
    assert resource.admit is not None
    admitted = resource.admit(service, None, AdmissionContext(DATA))
    if admitted.denied:
        return "Invalid", admitted.denied
    config = parse_config(DATA).config
    plan = build_plan(Snapshot(admitted.obj, (), runtimes, config, Gateway(), NOTHING, 0.0))
    if plan.blocked:
        return plan.blocked.reason, plan.blocked.message
    ports = dict.fromkeys(select_addressed(plan), 18_000)
    desired = render(plan, IMAGES, ports)
    (workload, *_) = [w for w in desired.workloads if w.component == Component.PREDICTOR.value]
    if workload.problem:
        return workload.problem.reason, workload.problem.message
    if workload.command is None:
        return f"command: {workload.program}", ""
    named = [word for word in workload.command.argv if word.startswith("--runtime=")]
    return (named[0].removeprefix("--runtime=") if named else workload.command.image), ""


def installed() -> tuple[dict[str, Any], ...]:
    return tuple(obj for name, obj in SHIPPED.items() if name not in NOT_INSTALLED)


@needs_shared
def test_every_shipped_runtime_is_in_the_table():
    assert sorted(SHIPPED) == sorted(RUNTIMES)


@needs_shared
@pytest.mark.parametrize("name", SHIPPED or ["none"])
def test_a_shipped_runtime_runs_or_names_what_is_missing(name):
    runtime = SHIPPED[name]
    wanted = next(iter(runtime["spec"]["supportedModelFormats"]))
    model = {
        "modelFormat": {"name": wanted["name"]},
        "runtime": runtime["metadata"]["name"],
        "protocolVersion": next(iter(runtime["spec"].get("protocolVersions") or ["v1"])),
        "storageUri": "pvc://claim/model",
    }
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "asked"},
        "spec": {"predictor": {"model": model}},
    }
    found, words = outcome(service, (runtime,))
    assert found == RUNTIMES[name], words
    if found == "ImageNotRunnable":
        assert runtime["spec"]["containers"][0]["image"] in words


@needs_shared
def test_every_sample_is_in_the_table():
    assert sorted(SERVICES) == sorted(f"inferenceservice-{name}" for name in SAMPLES)


@needs_shared
@pytest.mark.parametrize("name", SERVICES or ["none"])
def test_a_sample_runs_or_names_what_is_missing(name):
    found, words = outcome(SERVICES[name], installed())
    assert found == SAMPLES[name.removeprefix("inferenceservice-")], words
    if found[0].isupper():
        assert words.strip(), "a reason has words"
