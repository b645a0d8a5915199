"""What a Hugging Face model is for, how long its texts may be, and how tokens become text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.runtimes.huggingface.lengths import select_length
from sampan.runtimes.huggingface.settings import make_settings, translate
from sampan.runtimes.huggingface.tasks import Task, select_task
from sampan.runtimes.huggingface.text_stream import Detokenizer, StopWatch
from sampan.server.load_failure import LoadFailure


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForSequenceClassification", Task.SEQUENCE_CLASSIFICATION),
        ("DistilBertForTokenClassification", Task.TOKEN_CLASSIFICATION),
        ("BertForMaskedLM", Task.FILL_MASK),
        ("LlamaForCausalLM", Task.TEXT_GENERATION),
        ("GPT2LMHeadModel", Task.TEXT_GENERATION),
        ("T5ForConditionalGeneration", Task.TEXT2TEXT_GENERATION),
        ("MarianMTModel", Task.TEXT2TEXT_GENERATION),
    ],
)
def test_the_architecture_tells_the_task(architecture, task):
    assert select_task({"architectures": [architecture]}, "") is task
    assert select_task({"architectures": [architecture]}, "text_embedding") is Task.TEXT_EMBEDDING
    assert select_task({"architectures": [architecture]}, "embed") is Task.TEXT_EMBEDDING


@pytest.mark.parametrize(
    ("config", "asked", "told"),
    [
        pytest.param({}, "", "without architectures", id="nothing tells the task"),
        pytest.param(
            {"architectures": ["BertModel"]}, "", "Task couldn't be inferred from BertModel",
            id="a bare model",
        ),
        pytest.param(
            {"architectures": ["BertForQuestionAnswering"]}, "", "not served; served are",
            id="a task that is not served",
        ),
        pytest.param({}, "fill_masks", 'did you mean "fill_mask"', id="a misspelt task"),
    ],
)  # fmt: skip
def test_a_task_that_is_not_known_is_told(config, asked, told):
    with pytest.raises(LoadFailure) as caught:
        select_task(config, asked)
    assert told in caught.value.message


def test_the_configuration_bounds_the_length():
    config = {"max_position_embeddings": 512, "n_positions": 1024}
    assert select_length(config, 0, longer=False) == 512
    assert select_length(config, 100, longer=False) == 100
    assert select_length({}, 0, longer=False) == 2048
    assert select_length(config, 600, longer=True) == 600
    with pytest.raises(LoadFailure, match="--max_model_len is 600"):
        select_length(config, 600, longer=False)


def test_the_servers_arguments_are_taken_and_others_passed_on():
    words = ["--model_name=bert", "--disable_lower_case", "--task", "fill_mask", "--max_length=9",
             "--tensor_input_names=input_ids", "--tensor-parallel-size=2"]  # fmt: skip
    made = translate(words)
    assert made.argv == (
        "--model_name=bert", "--server_option=disable_lower_case=true",
        "--server_option=task=fill_mask", "--server_option=max_length=9",
        "--tensor-parallel-size=2",
    )  # fmt: skip
    assert made.warnings[0].startswith('argument "--tensor_input_names" is not honoured')


@pytest.mark.parametrize(
    "words",
    [("--predictor_host=predictor.ns",), ("--predictor_host", "predictor.ns")],
    ids=["one word", "two words"],
)
def test_a_predictor_behind_this_server_is_refused_by_its_argument(words):
    with pytest.raises(ValueError, match=r'"--predictor_host" is "predictor\.ns".*leave the trans'):
        translate(["--model_name=bert", *words])


def test_settings_are_those_of_the_options():
    options = {"dtype": "half", "max_length": "9", "disable_lower_case": "true"}
    settings = make_settings(options)
    assert (settings.dtype, settings.max_model_len, settings.lower_case) == ("float16", 9, False)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dtype": "int8"}, '--dtype is "int8"; use one of auto'),
        ({"backend": "vllm"}, 'set modelFormat.name to "vLLM"'),
        ({"backend": "other"}, '--backend is "other"'),
        ({"max_length": "many"}, '--max_length is "many"; give a whole number'),
        ({"return_probabilities": "true", "return_raw_logits": "true"}, "exclude each other"),
    ],
)
def test_wrong_settings_are_told(options, told):
    with pytest.raises(ValueError, match=told):
        make_settings(options)


def decode_bytes(ids: list[int]) -> str:
    """Decode as a tokenizer of bytes does: what is no whole character becomes a mark."""
    return bytes(ids).decode(errors="replace")


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_text_that_comes_token_by_token_is_the_text(text):
    stream = Detokenizer(decode_bytes)  # type: ignore[arg-type]  # it is given lists
    told = [stream.push(token) for token in text.encode()]
    assert not any("\ufffd" in piece for piece in told) or "\ufffd" in text
    assert "".join(told) + stream.end() == text


@given(
    st.lists(st.text(alphabet="abc", max_size=4), max_size=12),
    st.lists(st.text(alphabet="abc", min_size=1, max_size=3), max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_a_stop_string_is_found_however_the_text_is_cut(pieces, stops):
    watch, told = StopWatch(stops), ""
    for piece in pieces:
        told += watch.push(piece)
    told += watch.end()
    text = "".join(pieces)
    if not any(stop in text for stop in stops):
        assert (told, watch.stopped) == (text, False)
    else:
        assert watch.stopped
        assert text.startswith(told)
        assert not any(stop in told for stop in stops)
        assert any(text[len(told) :].startswith(stop) for stop in stops)
