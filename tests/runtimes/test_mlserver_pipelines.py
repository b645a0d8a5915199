"""Projects of MLServer with `mlserver_huggingface.HuggingFaceRuntime`: settings and forms.

Answers of real pipelines are held in tests/engines/test_mlserver_huggingface.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.mlserver.pipeline_forms import make_arguments, make_output
from sampan.runtimes.mlserver.pipeline_settings import PipelineSettings, make_pipeline_settings
from sampan.runtimes.mlserver.settings import gather_models
from sampan.server.load_failure import LoadFailure

TASK = {"task": "text-classification"}


def settings(
    root: Path, extra: object, environ: dict[str, str] | None = None, *, trust: bool = False, **more
) -> PipelineSettings:
    made = {"name": "m", "implementation": "mlserver_huggingface.HuggingFaceRuntime",
            "parameters": {"extra": extra}, **more}  # fmt: skip
    root.mkdir(exist_ok=True)
    (root / "model-settings.json").write_text(json.dumps(made))
    (model,) = gather_models(root, {}, trust=trust)
    return make_pipeline_settings(model, root, environ or {}, trust=trust)


def tensor(name: str, data: list[object], kind: str = "", datatype: str = "BYTES") -> InferInput:
    parameters = {"content_type": kind} if kind else None
    return InferInput(name, [len(data)], datatype, data, parameters)


def arguments(*inputs: InferInput, **parameters: str) -> object:
    return make_arguments(InferRequest("m", list(inputs), parameters=parameters or None))


def test_the_model_is_the_projects_folder_where_none_is_named(tmp_path):
    said = settings(tmp_path, TASK)
    assert (said.task, said.model, said.tokenizer) == (
        "text-classification", str(tmp_path), str(tmp_path),
    )  # fmt: skip


def test_a_folder_of_the_project_wins_over_a_name_of_the_hub(tmp_path):
    assert settings(tmp_path, {**TASK, "pretrained_model": "org/tiny"}).model == "org/tiny"
    (tmp_path / "org" / "tiny").mkdir(parents=True)
    said = settings(tmp_path, {**TASK, "pretrained_model": "org/tiny"})
    assert said.model == said.tokenizer == str(tmp_path / "org" / "tiny")


def test_settings_win_over_variables_and_variables_fill_them(tmp_path):
    environ = {
        "MLSERVER_MODEL_HUGGINGFACE_TASK": "fill-mask",
        "MLSERVER_MODEL_HUGGINGFACE_PRETRAINED_MODEL": "org/tiny",
        "MLSERVER_MODEL_HUGGINGFACE_INTRA_OP_THREADS": "2",
    }
    said = settings(tmp_path, {}, environ)
    assert (said.task, said.model, said.threads) == ("fill-mask", "org/tiny", 2)
    assert settings(tmp_path, TASK, environ).task == "text-classification"


def test_a_translation_has_the_languages_behind_its_task(tmp_path):
    said = settings(tmp_path, {"task": "translation", "task_suffix": "_en_to_fr"})
    assert said.task == "translation_en_to_fr"


def test_what_has_no_effect_is_told(tmp_path):
    more = {"max_batch_size": 4, "max_batch_time": 0.1}
    said = settings(tmp_path, {**TASK, "optimum_model": True}, **more)
    assert said.batch_size == 4
    assert [text.partition(" ")[0] for text in said.warnings] == ["optimum_model", "max_batch_time"]


WRONG = {
    "no task": ({}, "ModelIncompatible", "parameters.extra.task is ''; give one of"),
    "a task that there is not": (
        {"task": "text-clasification"}, "ModelIncompatible", 'did you mean "text-classification"'),
    "a task of images": (
        {"task": "image-classification"}, "ModelIncompatible", "task is 'image-classification'"),
    "a field that there is not": (
        {**TASK, "pretrained": "x"}, "ModelIncompatible", "extra.pretrained is 'x'; there is no"),
    "a field of another type": (
        {**TASK, "intra_op_threads": True}, "ModelIncompatible", "is True; give int"),
    "TensorFlow": ({**TASK, "framework": "tf"}, "ModelIncompatible", "framework is 'tf'"),
    "a folder that is not there": (
        {**TASK, "pretrained_model": "./gone"}, "ModelMissing", 'no folder "./gone"'),
    "a folder beside the project": (
        {**TASK, "pretrained_model": ".."}, "ModelUntrusted", '".." leaves the project'),
    "code of the model's": (
        {**TASK, "model_kwargs": {"trust_remote_code": True}}, "ModelUntrusted",
        'model_kwargs: "trust_remote_code" is True'),
    "pickles": (
        {**TASK, "model_kwargs": {"weights_only": False}}, "ModelUntrusted", '"weights_only"'),
}  # fmt: skip


@pytest.mark.parametrize(("extra", "reason", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named_with_its_value_and_mend(tmp_path, extra, reason, words):
    with pytest.raises(LoadFailure) as caught:
        settings(tmp_path / "project", extra)
    assert (caught.value.reason, words in caught.value.message) == (reason, True), caught.value


def test_options_that_could_load_code_are_passed_on_where_the_model_is_trusted(tmp_path):
    kwargs = {"attn_implementation": "eager"}
    assert settings(tmp_path, {**TASK, "model_kwargs": kwargs}, trust=True).model_kwargs == kwargs


TAKEN = {
    "a text": ([tensor("args", ["one"])], ["one"], {}),
    "several texts are one batch": ([tensor("args", ["one", "two"])], [["one", "two"]], {}),
    "texts of an array": ([tensor("array_inputs", ["one"])], [["one"]], {}),
    "a question": (
        [tensor("question", ["who"]), tensor("context", ["me"], "str")], [],
        {"question": ["who"], "context": ["me"]}),
    "a number": (
        [tensor("args", ["a"]), tensor("max_new_tokens", [5], "raw", "INT32")], ["a"],
        {"max_new_tokens": 5}),
    "JSON": (
        [tensor("args", ["a"]), tensor("candidate_labels", ['["x", "y"]'], "hg_json")], ["a"],
        {"candidate_labels": ["x", "y"]}),
    "a conversation": (
        [tensor("args", ['{"role": "user"}', '{"role": "assistant"}'], "hg_jsonlist")],
        [[{"role": "user"}, {"role": "assistant"}]], {}),
    "an array": ([tensor("top_k", [3], "np", "INT64")], [], {"top_k": [3]}),
}  # fmt: skip


@pytest.mark.parametrize(("inputs", "args", "keywords"), TAKEN.values(), ids=TAKEN.keys())
def test_inputs_are_arguments_by_their_content_types(inputs, args, keywords):
    assert arguments(*inputs) == (args, keywords)


def test_the_requests_content_type_is_that_of_inputs_that_say_none():
    assert arguments(tensor("top_k", [3], "", "INT64"), content_type="raw") == ([], {"top_k": 3})
    assert arguments(tensor("args", ["a"]), content_type="hf") == (["a"], {})


REFUSED = {
    "an argument that could load code": (
        tensor("trust_remote_code", [True], "raw", "BOOL"), 'input "trust_remote_code" is no arg'),
    "a misspelt argument": (tensor("arg", ["a"]), 'did you mean "args"'),
    "a content type that there is not": (
        tensor("args", ["a"], "pillow_image"), 'content_type "pillow_image"; send one of str'),
    "numbers as texts": (tensor("args", [1.0], "", "FP32"), 'input "args" is FP32'),
    "several where one is meant": (tensor("top_k", [1, 2], "raw", "INT64"), "has 2 elements"),
    "no JSON": (tensor("candidate_labels", ["{"], "hg_json"), 'input "candidate_labels" is no'),
}  # fmt: skip


@pytest.mark.parametrize(("given", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_an_input_that_is_not_taken_is_named(given, words):
    with pytest.raises(InvalidInput) as caught:
        arguments(given)
    assert words in str(caught.value)


def test_an_answer_is_a_json_text_an_element():
    output = make_output([{"label": "A", "score": np.float32(0.5)}, [[1.0, 2.0]]])
    assert (output.name, output.shape, output.datatype) == ("output", [2, 1], "BYTES")
    assert output.parameters == {"content_type": "hg_jsonlist"}
    assert output.data == ['{"label": "A", "score": 0.5}', "[[1.0, 2.0]]"]
    assert make_output({"answer": "me"}).data == ['{"answer": "me"}']
