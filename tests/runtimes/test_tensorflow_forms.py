"""TensorFlow Serving's flags, configuration, JSON and messages, without TensorFlow."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.tensorflow import json_forms, tensor_proto
from sampan.runtimes.tensorflow.arguments import translate
from sampan.runtimes.tensorflow.config import gather_config, gather_limits
from sampan.runtimes.tensorflow.following import Waits
from sampan.runtimes.tensorflow.layout import gather_models, gather_versions
from sampan.runtimes.tensorflow.messages import (
    ModelSpec,
    decode_spec,
    encode_example,
    encode_feature,
    encode_spec,
    make_spec,
)
from sampan.runtimes.tensorflow.monitoring import gather_metrics_path, render_counts
from sampan.runtimes.tensorflow.runtime import make_waits
from sampan.runtimes.triton.config import select_versions
from sampan.server.load_failure import LoadFailure
from sampan.server.metrics import Metrics

SHIPPED = [
    "--model_name=flowers", "--port=9000", "--rest_api_port=8080",
    "--model_base_path=/models", "--rest_api_timeout_in_ms=60000",
]  # fmt: skip


@pytest.mark.parametrize(
    ("given_words", "made", "told"),
    [
        pytest.param(
            SHIPPED,
            ["--model_name=flowers", "--grpc_port=9000", "--http_port=8080",
             "--model_dir=/models", "--request_timeout=60"],
            [], id="the flags of KServe's runtime",
        ),
        pytest.param(["/usr/bin/tensorflow_model_server", "--port", "1"], ["--grpc_port=1"], [],
                     id="the program's own name and a value by itself"),
        pytest.param(["--enable_batching", "--batching_parameters_file=b.txt"],
                     ["--server_option=enable_batching=true",
                      "--server_option=batching_parameters_file=b.txt"], [], id="batching"),
        pytest.param(["--model_config_file=/c/models.config"],
                     ["--server_option=model_config_file=/c/models.config", "--model_dir=/c"], [],
                     id="the configuration's folder holds the models"),
        pytest.param(["--file_system_poll_wait_seconds=5", "--enable_model_warmup"],
                     ["--server_option=file_system_poll_wait_seconds=5",
                      "--server_option=enable_model_warmup=true"], [],
                     id="looking for versions, and recorded requests"),
        pytest.param(["--max_num_load_retries=5"], [],
                     ['"--max_num_load_retries" is not honoured'],
                     id="what has no effect is named"),
        pytest.param(["--flush_filesystem_caches=true", "--use_alts_credentials=false"], [], [],
                     id="what is so anyway is not"),
        pytest.param(["--trust", "--runtime=tensorflow"], ["--trust", "--runtime=tensorflow"], [],
                     id="our own arguments go through"),
    ],
)  # fmt: skip
def test_flags_are_translated(given_words, made, told):
    translated = translate(given_words)
    assert list(translated.argv) == made
    assert len(translated.warnings) == len(told)
    assert all(words in warning for words, warning in zip(told, translated.warnings, strict=True))


def test_a_timeout_that_is_no_number_is_told():
    with pytest.raises(ValueError, match='--rest_api_timeout_in_ms is "soon"; give milliseconds'):
        translate(["--rest_api_timeout_in_ms=soon"])


def listed(*configs: str) -> str:
    return f"model_config_list {{ {' '.join(f'config {{ {one} }}' for one in configs)} }}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (listed('name: "a"'), "a model without base_path"),
        (listed('base_path: "a"'), "a model without name"),
        (listed('name: "a" base_path: "/etc"'), "lies outside of"),
        (listed('name: "a" base_path: "x/../../y"'), "lies outside of"),
        (listed('nam: "a"'), 'did you mean "name"?'),
        ("model_config_list {", "the text ends where"),
        ("custom_model_config { }", "custom_model_config is not served"),
        (listed('name: "a" base_path: "a" model_platform: "jax"'), 'model_platform "jax"'),
        (
            listed('name: "a" base_path: "a"', 'name: "a" base_path: "b"'),
            'two models are named "a"',
        ),
        (
            listed('name: "a" base_path: "a" model_version_policy { specific { } }'),
            "a specific version policy without versions",
        ),
    ],
)
def test_a_wrong_configuration_names_its_fault(text, said, tmp_path):
    file = tmp_path / "models.config"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"models\.config") as raised:
        gather_config(file)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", [7]),
        ("latest { num_versions: 2 }", [2, 7]),
        ("all { }", [1, 2, 7]),
        ("specific { versions: 1 versions: 2 }", [1, 2]),
    ],
)
def test_a_version_policy_selects(policy, served, tmp_path):
    file = tmp_path / "models.config"
    policy = f"model_version_policy {{ {policy} }}" if policy else ""
    file.write_text(
        f'model_config_list {{ config {{ name: "a" base_path: "/mnt/models/a" {policy} }} }}'
    )
    (config,) = gather_config(file)
    assert config.base == tmp_path / "a"
    assert select_versions([1, 2, 7], config.policy) == served


def test_batching_parameters_are_read_and_what_has_no_effect_is_named(tmp_path):
    file = tmp_path / "b.txt"
    file.write_text("max_batch_size { value: 8 }\nallowed_batch_sizes: 4\nallowed_batch_sizes: 8\n")
    limits, warnings = gather_limits(file)
    assert limits.max_size == 8
    assert ['"allowed_batch_sizes" of "b.txt" is not honoured' in one for one in warnings] == [True]


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    ("paths", "versions"),
    [
        pytest.param(["saved_model.pb"], [1], id="a SavedModel by itself is version 1"),
        pytest.param(["m.keras"], [1], id="so is a Keras file"),
        pytest.param(["1/saved_model.pb", "10/saved_model.pb", "9/saved_model.pb"], [1, 9, 10],
                     id="versions are ordered by number"),
        pytest.param(["1/notes.txt", "v2/saved_model.pb", "2/saved_model.pb"], [2],
                     id="other folders are left alone"),
        pytest.param(["notes.txt"], [], id="nothing of TensorFlow"),
    ],
)  # fmt: skip
def test_versions_are_found(paths, versions, tmp_path):
    assert list(gather_versions(make(tmp_path, *paths))) == versions


def test_a_folder_of_models_is_found(tmp_path):
    make(tmp_path, "a/1/saved_model.pb", "b/saved_model.pb", "c/notes.txt", ".d/saved_model.pb")
    assert gather_models(tmp_path) == ["a", "b"]


def test_two_keras_files_are_told(tmp_path):
    with pytest.raises(LoadFailure, match=r'"a.keras", "b.h5"; leave one'):
        gather_versions(make(tmp_path, "a.keras", "b.h5"))


KINDS = [kind for kind in tensor_proto.KINDS.values() if kind.dtype != "object"]


@settings(deadline=None)  # a loaded machine is slow, not wrong
@given(st.data())
def test_an_array_survives_its_message(data):
    kind = data.draw(st.sampled_from(KINDS))
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    array = data.draw(arrays.arrays(np.dtype(kind.dtype), shape))
    message = tensor_proto.encode(array)
    back = tensor_proto.decode("x", message, 0, len(message))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


@settings(deadline=None)  # a loaded machine is slow, not wrong
@given(st.lists(st.binary(max_size=8), max_size=5))
def test_texts_survive_their_message(texts):
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    message = tensor_proto.encode(array)
    assert tensor_proto.decode("x", message, 0, len(message)).tolist() == texts


@settings(deadline=None)  # a loaded machine is slow, not wrong
@given(st.binary(max_size=64))
def test_bytes_that_are_no_tensor_are_the_callers_fault(message):
    try:
        tensor_proto.decode("x", message, 0, len(message))
    except InvalidInput:
        return


def test_a_few_bytes_do_not_fill_the_memory():
    huge = b"\x08\x01\x12\x08\x12\x06\x08\x80\x80\x80\x80\x40"  # a float of 2**34 elements
    with pytest.raises(InvalidInput, match="has 0 values"):
        tensor_proto.decode("x", huge, 0, len(huge))


@settings(deadline=None)  # a loaded machine is slow, not wrong
@given(st.text(max_size=9), st.none() | st.integers(0, 2**40), st.text(max_size=9))
def test_a_model_spec_survives_its_message(name, version, signature):
    spec = ModelSpec(name, version, signature=signature)
    message = encode_spec(spec)
    assert decode_spec(message, 0, len(message)) == spec
    assert make_spec({"name": name}) == ModelSpec(name)


@pytest.mark.parametrize(
    ("values", "encoded"),
    [
        ([1, -1], b"\x1a\x0d\x0a\x0b\x01" + b"\xff" * 9 + b"\x01"),
        ([True], b"\x1a\x03\x0a\x01\x01"),
        ([0.5], b"\x12\x06\x0a\x04\x00\x00\x00\x3f"),
        ([b"ab"], b"\x0a\x04\x0a\x02ab"),
        ([], b"\x0a\x00"),
    ],
)
def test_a_feature_is_of_its_values_kind(values, encoded):
    assert encode_feature(values, "f") == encoded


def test_an_example_holds_features_by_name():
    assert encode_example({"a": b"\x0a\x00"}) == b"\x0a\x09\x0a\x07\x0a\x01a\x12\x02\x0a\x00"


@pytest.mark.parametrize(
    ("arrays_by_name", "rows", "answer"),
    [
        ({"y": np.float32([[0.1], [2]])}, True, {"predictions": [[0.1], [2.0]]}),
        ({"y": np.float32([0.1])}, False, {"outputs": [0.1]}),
        ({"a": np.int64([1, 2]), "b": np.float32([0.5, 1])}, True,
         {"predictions": [{"a": 1, "b": 0.5}, {"a": 2, "b": 1.0}]}),
        ({"a": np.int64([1]), "b": np.float32(0.5)}, False, {"outputs": {"a": [1], "b": 0.5}}),
        ({"t": np.array([b"a"], dtype=object)}, True, {"predictions": ["a"]}),
        ({"t_bytes": np.array([b"\xff"], dtype=object)}, True,
         {"predictions": [{"b64": base64.b64encode(b"\xff").decode()}]}),
    ],
)  # fmt: skip
def test_answers_are_tensorflow_servings(arrays_by_name, rows, answer):
    import orjson

    from sampan.protocol import json_out

    made = json_out.dumps(json_forms.make_answer(arrays_by_name, rows=rows))
    assert orjson.loads(made) == answer


@pytest.mark.parametrize(
    ("arrays_by_name", "said"),
    [
        ({"y": np.float32(1)}, "Tensor name: y has no shape information"),
        ({"a": np.zeros(2), "b": np.zeros(3)},
         "Tensor name: b has inconsistent batch size: 3 expecting: 2"),
    ],
)  # fmt: skip
def test_rows_need_rows(arrays_by_name, said):
    with pytest.raises(InvalidInput, match=said):
        json_forms.make_answer(arrays_by_name, rows=True)


@pytest.mark.parametrize(
    ("options", "versions", "config"),
    [
        pytest.param({}, 1, 0, id="TensorFlow Serving's own"),
        pytest.param({"file_system_poll_wait_seconds": "30"}, 30, 0, id="another wait"),
        pytest.param({"file_system_poll_wait_seconds": "0"}, 0, 0, id="at the start only"),
        pytest.param({"file_system_poll_wait_seconds": "-1"}, 0, 0, id="not at all"),
        pytest.param({"model_config_file_poll_wait_seconds": "5"}, 1, 5, id="the file too"),
    ],
)
def test_how_often_is_looked(options, versions, config):
    assert make_waits(options) == (Waits(versions, config))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("prometheus_config { enable: true }", "/monitoring/prometheus/metrics",
                     id="the usual path"),
        pytest.param('prometheus_config { enable: true path: "/own" }', "/own", id="another"),
        pytest.param('prometheus_config { path: "/own" }', "", id="not enabled"),
        pytest.param("", "", id="nothing"),
    ],
)  # fmt: skip
def test_a_monitoring_configuration_names_a_path(text, path, tmp_path):
    file = tmp_path / "monitoring.config"
    file.write_text(text)
    assert gather_metrics_path(file) == path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('prometheus_config { enable: true path: "own" }', 'path is "own"; give a path',
                     id="no path"),
        pytest.param("prometheus_config { enabled: true }", "enabled", id="no such field"),
    ],
)  # fmt: skip
def test_a_wrong_monitoring_configuration_names_its_fault(text, said, tmp_path):
    file = tmp_path / "monitoring.config"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"monitoring\.config") as caught:
        gather_metrics_path(file)
    assert said in str(caught.value)


def test_requests_of_several_processes_are_counted_together():
    metrics = Metrics()
    for code in ("200", "200", "400", "500"):
        metrics.refused('a"b', code)
    assert render_counts([metrics.state(), metrics.state()]).decode().splitlines() == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="a\\"b",status="OK"} 4',
        ':tensorflow:serving:request_count{model_name="a\\"b",status="INVALID_ARGUMENT"} 2',
        ':tensorflow:serving:request_count{model_name="a\\"b",status="INTERNAL"} 2',
    ]
