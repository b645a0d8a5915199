"""Every file of KServe's beside this repository that holds a predictor, or a model of one, and the
test that holds it.

A row a file: the test applies it to a daemon, and says what it answers or which words its condition
has. Groups of an engine are those of `test_upstream_samples`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from tests.runtimes.test_upstream_samples import SAMPLES, SHARED, needs_shared

TESTS = Path(__file__).parents[1]
LIGHT = "runtimes/test_samples_served.py"
_HUB = "engines/test_hub_samples.py"
_TORCH = "engines/test_torch_samples.py"
_AUTOGLUON = "engines/test_autogluon_samples.py"
ENGINES = {
    **dict.fromkeys(
        ("sklearn", "lightgbm", "xgboost", "pmml", "mlserver"),
        f"{LIGHT}::test_samples_of_light_engines_run_unmodified_but_for_the_place_of_their_model",
    ),
    "NoSuchVersion": f"{LIGHT}::test_a_version_of_the_api_that_there_is_not_is_named",
    "command: python": f"{LIGHT}::test_what_only_an_image_has_is_named",
    "tensorflow": "engines/test_tensorflow_samples.py::"
    "test_samples_run_unmodified_but_for_the_place_of_their_model",
    "paddle": "engines/test_paddle_samples.py::"
    "test_samples_run_unmodified_but_for_the_place_of_their_model",
    "torchserve": f"{_TORCH}::test_a_sample_of_torchserve",
    "triton": f"{_TORCH}::test_a_sample_of_triton",
}
"""By what runs a sample's predictor; any other reason is held as one of those below."""
REASON = f"{LIGHT}::test_samples_that_cannot_run_say_what_is_missing"
OWN = {
    name: test
    for test, names in {
        f"{LIGHT}::test_a_triton_of_many_models_stands_ready_with_none_of_them": (
            "triton-mms-1fa24b triton-mms-b294e7"
        ),
        f"{_AUTOGLUON}::test_a_sample_of_a_table": "autogluon-titanic-407032",
        f"{_AUTOGLUON}::test_samples_of_time_series": (
            "autogluon-ts-forecast-0f937d autogluon-ts-forecast-a29855"
        ),
        f"{_TORCH}::test_a_sample_of_an_encoder": (
            "huggingface-bert-0c8bb7 huggingface-bert-76dce2 huggingface-bert-d74d10 "
            "huggingface-bert-with-logits-35e830 huggingface-distilbert-4d3ed7 "
            "huggingface-distilbert-79a215 huggingface-distilbert-probs-6b395a "
            "embedding-model-e51779"
        ),
        f"{_TORCH}::test_a_sample_of_a_chat": (
            "huggingface-llm-150c0b llama3-8b-bfef65 qwen-llm-dba4a4"
        ),
        f"{_HUB}::test_a_sample_of_a_name_of_the_hub": (
            "huggingface-bert-87d2c9 huggingface-bert-c52d47 huggingface-fbopt-05692e "
            "huggingface-fbopt-164dcd huggingface-t5-a6d398 llama3-vllm-caaa6b"
        ),
        f"{_HUB}::test_a_sample_with_a_secret": "llama3-1b-fd89e4 modelscope-qwen-267950",
        f"{_HUB}::test_a_sample_of_a_folder": (
            "llama3-8b-48dd24 llama-31-8b-instruct-11ac1f embedding-model-4d205c"
        ),
        f"{_HUB}::test_a_tokenizer_before_a_predictor_is_refused_by_its_argument": (
            "huggingface-triton-1d7e0c huggingface-triton-8f848c"
        ),
    }.items()
    for name in names.split()
}
"""Samples with a test of their own."""
RUNTIMES = {
    "kserve-autogluonserver": f"{_AUTOGLUON}::test_a_sample_of_a_table",
    "kserve-huggingfaceserver": f"{_TORCH}::test_a_sample_of_an_encoder",
    "kserve-huggingfaceserver-multinode": (
        f"{LIGHT}::test_a_runtime_that_cannot_run_says_what_is_missing"
    ),
    "kserve-lgbserver": ENGINES["lightgbm"],
    "kserve-mlserver": ENGINES["mlserver"],
    "kserve-openvino": f"{LIGHT}::test_a_runtime_that_cannot_run_says_what_is_missing",
    "kserve-paddleserver": ENGINES["paddle"],
    "kserve-pmmlserver": ENGINES["pmml"],
    "kserve-predictiveserver": f"{LIGHT}::test_kserves_predictive_runtime_serves_three_formats",
    "kserve-sklearnserver": ENGINES["sklearn"],
    "kserve-tensorflow-serving": ENGINES["tensorflow"],
    "kserve-torchserve": ENGINES["torchserve"],
    "kserve-tritonserver": ENGINES["triton"],
    "kserve-vllmserver": (
        "engines/test_torch_examples.py::test_vllm_serves_behind_the_gateway_and_streams_as_it_goes"
    ),
    "kserve-xgbserver": ENGINES["xgboost"],
    "clusterservingruntime-custom-kserve-huggingfaceserver-575f84": (
        f"{LIGHT}::test_a_runtime_that_kserve_refuses_is_refused"
    ),
    "clusterservingruntime-mlserver-9f7a2a": (
        f"{LIGHT}::test_a_runtime_that_kserve_refuses_is_refused"
    ),
    "clusterservingruntime-tritonserver-ft-8deb5b": (
        f"{LIGHT}::test_what_only_an_image_has_is_named"
    ),
    "servingruntime-example-runtime-54de3c": (
        f"{LIGHT}::test_a_runtime_that_cannot_run_says_what_is_missing"
    ),
}
"""Shipped runtimes, and those among the samples."""
ROWS = {
    **{
        f"inferenceservice-{name}": OWN.get(name) or ENGINES.get(found, REASON)
        for name, found in SAMPLES.items()
    },
    "inferenceservice-bloom-560m-e1ecaa": f"{LIGHT}::test_what_only_an_image_has_is_named",
    **RUNTIMES,
    **dict.fromkeys(
        ("trainedmodel-simple-string-3375d3", "trainedmodel-simple-string-ac7bfc"),
        f"{LIGHT}::test_a_model_of_many_says_that_nothing_loads_it_and_how_it_is_served",
    ),
    **dict.fromkeys(
        ("trainedmodel-model1-sklearn-8b30ca", "trainedmodel-model2-sklearn-46d886"),
        f"{LIGHT}::test_a_model_of_many_whose_service_is_not_there_names_it",
    ),
}
_KINDS = {"InferenceService", "ServingRuntime", "ClusterServingRuntime", "TrainedModel"}


def holds_a_predictor(path: Path) -> bool:
    return (yaml.safe_load(path.read_text()) or {}).get("kind") in _KINDS


@needs_shared
def test_every_file_that_holds_a_predictor_has_a_row():
    files = [*(SHARED / "samples").glob("*.yaml"), *(SHARED / "upstream").glob("kserve-*.yaml")]
    assert sorted(path.stem for path in files if holds_a_predictor(path)) == sorted(ROWS)


@pytest.mark.parametrize("test", sorted(set(ROWS.values())))
def test_a_test_that_holds_a_row_is_there(test):
    file, _, name = test.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_sample_with_a_test_of_its_own_is_named_by_it(name):
    file, _, _ = OWN[name].partition("::")
    assert f'"{name}"' in (TESTS / file).read_text()
