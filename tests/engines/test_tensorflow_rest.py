"""TensorFlow Serving's REST over real models: predict, classify, regress, status, metadata."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from tests.engines.tensorflow_served import serve

models = pytest.importorskip(
    "tests.engines.tensorflow_models", reason="tensorflow is not installed: make test-engines"
)
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """Serve two versions of half_plus_two, the older one labelled stable."""
    root = tmp_path_factory.mktemp("half")
    models.half_plus_two(root / "half" / "1")
    models.half_plus_two(root / "half" / "2", factor=1.0)
    config = root / "models.config"
    config.write_text(
        'model_config_list { config { name: "half" base_path: "/mnt/models/half"\n'
        "model_version_policy { all {} }\n"
        'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 } } }\n'
    )
    with serve(root, model_config_file=str(config)) as server:
        yield server


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """Serve a model with three signatures."""
    root = tmp_path_factory.mktemp("dense")
    models.dense(root / "1")
    with serve(root) as server:
        yield server


@pytest.mark.parametrize(
    ("place", "answer"),
    [
        pytest.param("", [[3.0], [4.0]], id="the newest version where none is named"),
        pytest.param("/versions/1", [[2.5], [3.0]], id="a version by its number"),
        pytest.param("/versions/2", [[3.0], [4.0]], id="the newest by its number"),
        pytest.param("/labels/stable", [[2.5], [3.0]], id="a version by its label"),
        pytest.param("/labels/canary", [[3.0], [4.0]], id="another label"),
    ],
)
def test_predict_asks_the_version_that_the_path_names(half, place, answer):
    path = f"/v1/models/half{place}:predict"
    assert half.ask(path, {"instances": [[1.0], [2.0]]}) == (200, {"predictions": answer})
    assert half.ask(path, {"inputs": [[1.0], [2.0]]}) == (200, {"outputs": answer})
    assert half.ask(path, {"inputs": {"x": [[1.0], [2.0]]}}) == (200, {"outputs": answer})
    rows = [{"x": [1.0]}, {"x": [2.0]}]
    assert half.ask(path, {"instances": rows}) == (200, {"predictions": answer})


def test_examples_are_regressed_and_classified(half):
    regress = {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}, {"x": [2.5]}]}
    assert half.ask("/v1/models/half/versions/1:regress", regress) == (
        200,
        {"results": [2.5, 3.25]},
    )
    classify = {"signature_name": "classify_x_to_y", "examples": [{"x": 0.2}]}
    status, answer = half.ask("/v1/models/half/versions/2:classify", classify)
    ((low, high),) = answer["results"]
    assert (status, low[0], high[0]) == (200, "low", "high")
    assert low[1] == pytest.approx(2.2)
    assert len(str(low[1])) < 8, "a float of 32 bits is not written with the digits of one of 64"


def test_a_context_goes_into_each_example(half):
    body = {
        "signature_name": "regress_x_to_y", "context": {"x": 3.0}, "examples": [{"other": 1}, {}],
    }  # fmt: skip
    assert half.ask("/v1/models/half/versions/1:regress", body) == (200, {"results": [3.5, 3.5]})


def test_status_tells_every_version(half):
    def row(version):
        status = {"error_code": "OK", "error_message": ""}
        return {"version": version, "state": "AVAILABLE", "status": status}

    assert half.ask("/v1/models/half") == (200, {"model_version_status": [row("2"), row("1")]})
    assert half.ask("/v1/models/half/versions/1") == (200, {"model_version_status": [row("1")]})
    assert half.ask("/v1/models/half/labels/stable") == (200, {"model_version_status": [row("1")]})


def test_metadata_shows_the_signatures_as_tensorflow_serving_does(half):
    status, told = half.ask("/v1/models/half/versions/1/metadata")
    assert status == 200
    assert told["model_spec"] == {"name": "half", "signature_name": "", "version": "1"}
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert sorted(signatures) == ["classify_x_to_y", "regress_x_to_y", "serving_default"]
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "name": "x:0",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
            "unknown_rank": False,
        },
    }


def test_another_signature_takes_rows_of_objects_and_answers_objects(dense):
    text = {"b64": base64.b64encode(b"\x00\xff").decode()}
    rows = [{"a": 1, "text": "abc"}, {"a": 2, "text": text}]
    status, answer = dense.ask("/v1/models/m:predict", {"signature_name": "two", "instances": rows})
    assert (status, answer) == (
        200,
        {
            "predictions": [
                {"double": 2, "echo_bytes": {"b64": "YWJj"}, "length": 3},
                {"double": 4, "echo_bytes": text, "length": 2},
            ]
        },
    )
    columns = {"a": [1], "text": ["abc"]}
    status, answer = dense.ask("/v1/models/m:predict", {"signature_name": "two", "inputs": columns})
    assert (status, answer["outputs"]["double"], answer["outputs"]["length"]) == (200, [2], [3])


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        pytest.param("/v1/models/m:predict", b"", 400, "The document is empty", id="no body"),
        pytest.param("/v1/models/m:predict", b"[1", 400, "at offset: 2", id="no JSON"),
        pytest.param("/v1/models/m:predict", [1], 400, "JSON Value: [1] Is not object",
                     id="a list"),
        pytest.param("/v1/models/m:predict", {}, 400, "Missing 'inputs' or 'instances' key",
                     id="neither rows nor columns"),
        pytest.param("/v1/models/m:predict", {"instances": [1], "inputs": [1]}, 400,
                     "expecting only one of 'inputs' or 'instances' keys", id="both"),
        pytest.param("/v1/models/m:predict", {"instances": 1}, 400,
                     "'instances' to be an list/array", id="rows that are no list"),
        pytest.param("/v1/models/m:predict", {"instances": [1], "signature_name": 3}, 400,
                     "'signature_name' key must be a string", id="a signature that is no text"),
        pytest.param("/v1/models/m:predict", {"instances": [1], "signature_name": "nope"}, 400,
                     'Serving signature name: "nope" not found in signature def',
                     id="an unknown signature"),
        pytest.param("/v1/models/x:predict", {"instances": [1]}, 404,
                     "Servable not found for request: Latest(x)", id="an unknown model"),
        pytest.param("/v1/models/m/versions/9:predict", {"instances": [1]}, 404,
                     "Servable not found for request: Specific(m, 9)", id="an unknown version"),
        pytest.param("/v1/models/m/labels/old:predict", {"instances": [1]}, 400,
                     "Unrecognized servable version label: old", id="an unknown label"),
        pytest.param("/v1/models/m/versions/x:predict", {"instances": [1]}, 400,
                     'version "x" is no number', id="a version that is no number"),
        pytest.param("/v1/models/x", None, 404, "Could not find any versions of model x",
                     id="the status of an unknown model"),
        pytest.param("/v1/models/m/versions/9", None, 404, "Could not find version 9 of model m",
                     id="the status of an unknown version"),
        pytest.param("/v1/models/m:classify", {"instances": [1]}, 400,
                     "key 'examples' is expected and was not found", id="no examples"),
        pytest.param("/v1/models/m:classify", {"examples": []}, 400, "'examples' value is an empty",
                     id="empty examples"),
        pytest.param("/v1/models/m:classify", {"examples": [3]}, 400, "Example must be JSON object",
                     id="an example that is no object"),
        pytest.param("/v1/models/m:regress", {"examples": [{"x": [1, "a"]}]}, 400,
                     "Unexpected element type in feature: x", id="a feature of two kinds"),
        pytest.param("/v1/models/m:regress", {"examples": [{"x": None}]}, 400,
                     "Feature: x has element with unexpected JSON type", id="a feature of null"),
        pytest.param("/v1/models/m:regress", {"examples": [{"x": 1}]}, 400,
                     "Expected regression signature method_name", id="a signature of predict"),
        pytest.param("/v1/models/m:predict",
                     {"signature_name": "mean", "instances": [[1, 2, 3, 4]]}, 400,
                     "Tensor name: mean has no shape information", id="rows of no rows"),
    ],
)  # fmt: skip
def test_errors_are_tensorflow_servings(dense, path, body, status, said):
    found, answer = dense.ask(path, body)
    assert (found, list(answer)) == (status, ["error"])
    assert said in answer["error"]


def test_what_comes_together_is_answered_as_if_it_stood_alone(dense):
    import concurrent.futures

    rng = np.random.default_rng(1)
    bodies = [{"instances": rng.normal(size=(n % 3 + 1, 4)).tolist()} for n in range(60)]
    alone = [dense.ask("/v1/models/m:predict", body) for body in bodies]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda body: dense.ask("/v1/models/m:predict", body), bodies))
    assert together == alone
    assert all(status == 200 for status, _ in alone)


def test_v2_has_paths_with_a_version(half):
    body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [4]}]}
    assert half.ask("/v2/models/half/versions/1/infer", body)[1]["outputs"][0]["data"] == [4.0]
    assert half.ask("/v2/models/half/versions/2/infer", body)[1]["outputs"][0]["data"] == [6.0]
    assert half.ask("/v2/models/half")[1]["versions"] == ["1", "2"]
    assert half.ask("/v2/models/half/versions/1/ready")[0] == 200
    assert half.ask("/v2/models/half/versions/3/infer", body)[0] == 404
