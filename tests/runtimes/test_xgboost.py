"""The XGBoost runtime: files, answers, and what it says when a file is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xgboost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_iris

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.xgboost import RUNTIME, XGBoostModel, saved_version
from sampan.server.load_failure import LoadFailure

X, Y = load_iris(return_X_y=True)
NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
ROWS = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}
SOFTMAX = {"objective": "multi:softmax", "num_class": 3}
TRAINING = {
    "classes": SOFTMAX,
    "probabilities": {"objective": "multi:softprob", "num_class": 3},
    "a regression": {"objective": "reg:squarederror"},
    "dropped trees": {**SOFTMAX, "booster": "dart"},
    "a linear booster": {**SOFTMAX, "booster": "gblinear", "updater": "coord_descent"},
}
BINARY = b"binf\0\0\0?" + b"\x04" + bytes(131) + b"\x0f" + bytes(7) + b"binary:logistic"
BINARY += b"\x06" + bytes(7) + b"gbtree" + bytes(400)


def train(parameters, names=None):
    data = xgboost.DMatrix(X, Y, feature_names=names)
    return xgboost.train({"nthread": 1, "seed": 0, **parameters}, data, 5)


@pytest.fixture(scope="module")
def booster():
    return train(SOFTMAX)


def loaded(booster, folder, file="model.json"):
    booster.save_model(folder / file)
    model = XGBoostModel("m", str(folder))
    model.load()
    model.warm_up()
    return model


def failure(folder):
    with pytest.raises(LoadFailure) as caught:
        XGBoostModel("m", str(folder)).load()
    return caught.value


@pytest.mark.parametrize("form", ["json", "ubj"])
@pytest.mark.parametrize("extension", RUNTIME.extensions)
def test_a_file_is_read_by_its_content(booster, tmp_path, form, extension):
    (tmp_path / f"model{extension}").write_bytes(booster.save_raw(form))
    model = XGBoostModel("m", str(tmp_path))
    assert model.load()
    assert model.predict(ROWS)["predictions"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", TRAINING)
def test_answers_are_those_of_the_booster(kind, tmp_path):
    booster = train(TRAINING[kind])
    model = loaded(booster, tmp_path)
    rows = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    payload = InferRequest("m", [InferInput("x", list(X.shape), "FP64", None)])
    payload.inputs[0].set_array(rows)
    (answer,) = model.predict(payload).outputs
    assert answer.datatype == "FP32"
    np.testing.assert_array_equal(answer.as_numpy(), booster.predict(xgboost.DMatrix(rows)))


@pytest.mark.parametrize("kind", TRAINING)
@given(data=st.data())
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_row_has_the_same_answer_whatever_rows_are_beside_it(kind, tmp_path, data):
    model = loaded(train(TRAINING[kind]), tmp_path)
    assert model.row_wise
    values = st.floats(-1e6, 1e6, width=32) | st.just(np.nan)
    rows = data.draw(arrays("f4", st.tuples(st.integers(1, 12), st.just(4)), elements=values))
    whole = model.predict({"instances": rows})["predictions"]
    single = [
        model.predict({"instances": rows[i : i + 1]})["predictions"][0] for i in range(len(rows))
    ]
    np.testing.assert_array_equal(whole, single)


def test_metadata_tells_what_it_takes_and_answers(tmp_path):
    model = loaded(train(TRAINING["probabilities"]), tmp_path)
    assert model.get_input_types() == [{"name": "input-0", "datatype": "FP32", "shape": [-1, 4]}]
    assert model.get_output_types() == [{"name": "output-0", "datatype": "FP32", "shape": [-1, 3]}]


def test_rows_by_feature_name_in_any_order(tmp_path):
    model = loaded(train(SOFTMAX, NAMES), tmp_path)
    row = dict(zip(NAMES, ROWS["instances"][0], strict=True))
    turned = dict(reversed(row.items()))
    assert model.predict({"instances": [turned]})["predictions"].tolist() == [1.0]
    with pytest.raises(InvalidInput, match='did you mean "petal width"'):
        model.predict({"instances": [{**row, "petal widht": 1}]})


def test_an_infinite_value_is_refused_by_name(tmp_path):
    model = loaded(train(SOFTMAX, NAMES), tmp_path)
    with pytest.raises(InvalidInput, match='feature "sepal width" is infinite'):
        model.predict({"instances": np.array([[1.0, np.inf, 1.0, 1.0]])})


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b'{"learner":{}}', id="JSON of something else"),
        pytest.param(b"\x80\x04\x95", id="a pickle"),
    ],
)
def test_a_file_that_is_no_model(tmp_path, content):
    (tmp_path / "model.bst").write_bytes(content)
    told = failure(tmp_path)
    assert (told.reason, '"model.bst"' in told.message) == ("ModelCorrupt", True)
    assert "Stack trace" not in told.message


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_truncated_model(booster, tmp_path, form):
    raw = booster.save_raw(form)
    (tmp_path / f"model.{form}").write_bytes(raw[: len(raw) // 2])
    assert failure(tmp_path).reason == "ModelCorrupt"


def test_the_old_binary_format_names_the_version_that_reads_it(tmp_path):
    (tmp_path / "model.bst").write_bytes(BINARY)
    told = failure(tmp_path)
    assert told.reason == "ModelIncompatible"
    assert xgboost.__version__ in told.message
    assert 'runtimeVersion: "3.0.5"' in told.message


def test_a_model_of_a_newer_version_names_both(booster, tmp_path):
    document = json.loads(booster.save_raw("json"))
    document["version"] = [99, 1, 0]
    document["learner"]["gradient_booster"]["name"] = "gbforest"
    (tmp_path / "model.json").write_text(json.dumps(document))
    told = failure(tmp_path)
    assert told.reason == "ModelIncompatible"
    assert f"saved with XGBoost 99.1.0 and cannot be read by {xgboost.__version__}" in told.message
    assert 'set runtimeVersion: "99.1.0"' in told.message


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_the_version_that_saved_a_model(booster, form):
    assert saved_version(bytes(booster.save_raw(form))) == xgboost.__version__


def test_no_file_and_two_files(booster, tmp_path):
    assert failure(tmp_path).reason == "ModelMissing"
    booster.save_model(tmp_path / "a.json")
    booster.save_model(tmp_path / "b.ubj")
    assert failure(tmp_path).reason == "ModelAmbiguous"
