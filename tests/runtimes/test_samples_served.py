"""KServe's samples of light engines, run for real: the YAML as it is but for `storageUri`, the
shipped runtimes with their own arguments, the documented request, the documented numbers.

What cannot run here ends in a condition that names what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.conftest import Sampan
from tests.runtimes import sample_place
from tests.runtimes.sample_models import MAKERS, Sampled, flat, is_same
from tests.runtimes.sample_place import Service
from tests.runtimes.test_upstream_samples import SAMPLES, needs_shared

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), needs_shared]

ENGINES = ("sklearn", "lightgbm", "xgboost", "pmml", "mlserver")
MODELS = {
    "aix-explainer-c10da0": "news",
    "example-sklearn-isvc-3e7d16": "digits",
    "example-sklearn-isvc-5cc19c": "digits",
    "example-sklearn-isvc-6a5b27": "digits",
    "income-a001db": "income",
    "housing-125806": "mixed",
    "moviesentiment-793125": "reviews",
    "sklearn-irisv2-ba4092": "regression",
    "sklearn-mixedtype-3fa9df": "mixed",
}
"""Which model a sample names, where it is not its engine's usual one."""
USUAL = {name: name for name in ENGINES} | {"sklearn": "iris", "mlserver": "regression"}
MISSING = {
    "housing-125806": "quay.io/trustyai/trustyai-kserve-explainer:latest",
    "income-a001db": "kserve/alibi-explainer:v0.12.1",
    "moviesentiment-793125": "kserve/alibi-explainer:v0.12.1",
}
"""What a sample's conditions name, because it is not here: the rest of it runs."""
LIGHT = sorted(name for name, engine in SAMPLES.items() if engine in ENGINES)
BATCH = 12
"""So many are served at once."""


@pytest.fixture(scope="module")
def sampan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampan]:
    with sample_place.shipped(tmp_path_factory.mktemp("sampan")) as installation:
        yield installation


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sampled]:
    made = {}
    for name, make in MAKERS.items():
        folder = tmp_path_factory.mktemp(name)
        made[name] = make(folder)
    return made


def model_of(name: str) -> str:
    return MODELS.get(name, USUAL[SAMPLES[name]])


def ask_documented(service: Service, spec: dict[str, Any], model: Sampled) -> None:
    """Ask as the sample's page does: by the protocol, and over the ports, that it names."""
    named = spec["predictor"].get("model", {})
    if named.get("protocolVersion") != "v2":
        answer = service.ask(f"/v1/models/{service.name}:predict", {"instances": model.instances})
        assert is_same(answer["predictions"], model.predictions), answer
        return
    rows = model.instances
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [len(rows), len(rows[0])],
              "data": rows}  # fmt: skip
    answer = service.ask(f"/v2/models/{service.name}/infer", {"inputs": [tensor]})
    told = [flat(output["data"]) for output in answer["outputs"]]
    assert is_same(told, model.outputs), answer
    if named.get("ports"):
        assert is_same(service.ask_grpc(service.name, rows), model.outputs)


@pytest.mark.parametrize("first", range(0, len(LIGHT), BATCH))
def test_samples_of_light_engines_run_unmodified_but_for_the_place_of_their_model(
    first: int, sampan: Sampan, models: dict[str, Sampled]
) -> None:
    served: dict[str, Service] = {}
    for name in LIGHT[first : first + BATCH]:
        service = sample_place.sample(name)
        placed = sample_place.place_model(service, models[model_of(name)].uri)
        served[name] = sample_place.apply(sampan, placed, f"n-{name}")
    for name, service in served.items():
        spec = sample_place.sample(name)["spec"]
        if name in MISSING:
            service.wait_told(MISSING[name])
        else:
            service.wait_ready()
            ask_documented(service, spec, models[model_of(name)])
    for service in served.values():
        service.delete()


REASONS = sorted(
    name for name, found in SAMPLES.items() if found[0].isupper() and found != "NoSuchVersion"
)


def test_samples_that_cannot_run_say_what_is_missing(sampan: Sampan) -> None:
    for name in REASONS:
        service = sample_place.sample(name)
        if SAMPLES[name] == "Invalid":
            with pytest.raises(AssertionError, match=r"42[0-9]|40[03]"):
                sample_place.apply(sampan, service, f"r-{name}")
            continue
        made = sample_place.apply(sampan, service, f"r-{name}")
        made.wait_told(SAMPLES[name])
        made.delete()


def test_a_version_of_the_api_that_there_is_not_is_named(sampan: Sampan) -> None:
    for name in sorted(name for name, found in SAMPLES.items() if found == "NoSuchVersion"):
        told = sampan.run("apply", "-f", str(sample_place.path_of(name)))
        assert told.returncode == 1, told.stdout
        assert "serving.kserve.io/v1alpha2" in told.stderr


def test_a_bucket_that_a_sample_leaves_to_be_filled_in_is_named(sampan: Sampan) -> None:
    service = sample_place.apply(sampan, sample_place.sample("llama-31-8b-instruct-11ac1f"), "fill")
    service.wait_told('has no bucket that can be: "${bucket}"; write s3://bucket/path')
    service.delete()


def service_of(name: str, **model: Any) -> dict[str, Any]:
    """Return an InferenceService with a predictor's model."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"model": model}},
    }


PREDICTIVE = {"sklearn": "iris", "xgboost": "xgboost", "lightgbm": "lightgbm"}


def test_kserves_predictive_runtime_serves_three_formats(
    sampan: Sampan, models: dict[str, Sampled]
) -> None:
    served = {}
    for kind, model in PREDICTIVE.items():
        made = service_of(
            "asked", modelFormat={"name": kind}, runtime="kserve-predictiveserver",
            storageUri=models[model].uri,
        )  # fmt: skip
        served[kind] = sample_place.apply(sampan, made, f"predictive-{kind}")
    for kind, service in served.items():
        service.wait_ready()
        ask_documented(service, {"predictor": {}}, models[PREDICTIVE[kind]])
        service.delete()


def test_a_triton_of_many_models_stands_ready_with_none_of_them(sampan: Sampan) -> None:
    names = ("triton-mms-1fa24b", "triton-mms-b294e7")
    served = [sample_place.apply(sampan, sample_place.sample(name), f"n-{name}") for name in names]
    for service in served:
        service.wait_ready()
        assert service.ask("/v2/repository/index", {}) == []
        service.delete()


TRAINED = {
    "trainedmodel-simple-string-3375d3": "triton-mms-1fa24b",
    "trainedmodel-simple-string-ac7bfc": "triton-mms-b294e7",
}
"""Samples of one model of many, and the service that they name."""
ORPHANS = ("trainedmodel-model1-sklearn-8b30ca", "trainedmodel-model2-sklearn-46d886")
"""Their service is one that KServe's API refuses, too."""


def test_a_model_of_many_says_that_nothing_loads_it_and_how_it_is_served(sampan: Sampan) -> None:
    for name, parent in TRAINED.items():
        namespace = f"m-{name[-6:]}"
        service = sample_place.apply(sampan, sample_place.sample(parent), namespace)
        service.wait_ready()
        model = sample_place.add_model(
            sampan, sample_place.read("samples", f"{name}.yaml")[name], namespace
        )
        model.wait_told("NotBuiltYet")
        model.wait_told("give the model an InferenceService of its own, with storageUri")
        model.delete()
        service.delete()


def test_a_model_of_many_whose_service_is_not_there_names_it(sampan: Sampan) -> None:
    for name in ORPHANS:
        namespace = f"m-{name[-6:]}"
        sample_place.send(sampan, "POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        model = sample_place.add_model(sampan, sample_place.read("samples", f"{name}.yaml")[name],
                                       namespace)  # fmt: skip
        model.wait_told('InferenceService "sklearn-iris-example" does not exist; apply it')
        model.delete()


WORDS = {
    "aix-explainer-f7639a": "No module named rfserver",
    "bloom-560m-e1ecaa": "my-custom-triton-image",
}
"""Samples whose image brings what is not here, and the words of their conditions."""


def test_what_only_an_image_has_is_named(sampan: Sampan) -> None:
    sample_place.put_runtime(
        sampan, sample_place.object_of("clusterservingruntime-tritonserver-ft")
    )
    for name, words in WORDS.items():
        service = sample_place.apply(sampan, sample_place.sample(name), f"w-{name}")
        service.wait_told(words)
        service.delete()


RUNTIMES = {
    "kserve-openvino": ("onnx", "openvino/model_server"),
    "kserve-huggingfaceserver-multinode": ("huggingface", "No module named huggingfaceserver"),
    "servingruntime-example-runtime": ("example-format", "examplemodelserver:latest"),
}
"""Runtimes of which something is not here: a format of theirs, and what a condition names."""


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_that_cannot_run_says_what_is_missing(
    name: str, sampan: Sampan, models: dict[str, Sampled]
) -> None:
    kind, words = RUNTIMES[name]
    runtime = sample_place.object_of(name)
    if runtime["kind"] == "ServingRuntime":
        runtime = {**runtime, "kind": "ClusterServingRuntime"}
    sample_place.put_runtime(sampan, runtime)
    made = service_of(
        "asked", modelFormat={"name": kind}, runtime=runtime["metadata"]["name"],
        storageUri=models["iris"].uri,
    )  # fmt: skip
    service = sample_place.apply(sampan, made, f"cannot-{name[-20:]}")
    service.wait_told(words)
    service.delete()


REFUSED = {
    "clusterservingruntime-mlserver": "containers",
    "clusterservingruntime-custom-kserve-huggingfaceserver": "same priority assigned",
}
"""Runtimes that KServe refuses, too: a part of one, and one beside another of its priority."""


@pytest.mark.parametrize("name", REFUSED)
def test_a_runtime_that_kserve_refuses_is_refused(name: str, sampan: Sampan) -> None:
    with pytest.raises(AssertionError, match=REFUSED[name]):
        sample_place.put_runtime(sampan, sample_place.object_of(name))
