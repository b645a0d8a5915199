"""The LightGBM runtime: files, answers, and what it says when a file is wrong."""

from __future__ import annotations

import re

import lightgbm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_iris

from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.lightgbm import RUNTIME, LightGBMModel
from sampan.runtimes.lightgbm_text import find_damage
from sampan.server.load_failure import LoadFailure

X, Y = load_iris(return_X_y=True)
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
TRAINING = {
    "classes": {"objective": "multiclass", "num_class": 3},
    "a regression": {"objective": "regression"},
    "linear trees": {"objective": "regression", "linear_tree": True},
    "a forest": {
        "objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5
    },
    "categories": {"objective": "regression"},
}  # fmt: skip


def train(parameters, names=None, categories="auto"):
    target = Y > 0 if parameters["objective"] == "binary" else Y
    data = lightgbm.Dataset(
        X.round(), target, feature_name=names or "auto", params=parameters,
        categorical_feature=categories,
    )  # fmt: skip
    return lightgbm.train({**parameters, "verbose": -1, "num_threads": 1, "seed": 0}, data, 5)


BOOSTERS = {kind: train(parameters) for kind, parameters in TRAINING.items()}
BOOSTERS["categories"] = train(TRAINING["categories"], categories=[3])


def loaded(booster, folder):
    booster.save_model(folder / "model.bst")
    model = LightGBMModel("m", str(folder))
    model.load()
    model.warm_up()
    return model


def failure(folder):
    with pytest.raises(LoadFailure) as caught:
        LightGBMModel("m", str(folder)).load()
    return caught.value


@pytest.mark.parametrize("extension", RUNTIME.extensions)
def test_either_extension(extension, tmp_path):
    BOOSTERS["classes"].save_model(tmp_path / f"model{extension}")
    model = LightGBMModel("m", str(tmp_path))
    assert model.load()
    assert model.predict({"instances": X[:2]})["predictions"].shape == (2, 3)


def test_text_beside_the_model_is_not_taken_for_it(tmp_path):
    BOOSTERS["classes"].save_model(tmp_path / "model.bst")
    (tmp_path / "requirements.txt").write_text("lightgbm")
    assert LightGBMModel("m", str(tmp_path)).load()


@pytest.mark.parametrize("kind", TRAINING)
def test_answers_are_those_of_the_booster(kind, tmp_path):
    model = loaded(BOOSTERS[kind], tmp_path)
    rows = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    answer = model.predict({"instances": rows})["predictions"]
    np.testing.assert_array_equal(answer, BOOSTERS[kind].predict(rows))
    assert answer.dtype == np.float64


@pytest.mark.parametrize("kind", TRAINING)
@given(data=st.data())
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_row_has_the_same_answer_whatever_rows_are_beside_it(kind, tmp_path, data):
    model = loaded(BOOSTERS[kind], tmp_path)
    assert model.row_wise
    values = st.floats(-1e6, 1e6, width=32) | st.just(np.nan)
    rows = data.draw(arrays("f4", st.tuples(st.integers(1, 12), st.just(4)), elements=values))
    whole = model.predict({"instances": rows})["predictions"]
    single = [
        model.predict({"instances": rows[i : i + 1]})["predictions"][0] for i in range(len(rows))
    ]
    np.testing.assert_array_equal(whole, single)


def test_the_numbers_that_kserve_expects_of_its_sample(tmp_path):
    """KServe's test of its LightGBM server over V2, with its sample trained as its page says."""
    parameters = {"objective": "multiclass", "metric": "softmax", "num_class": 3, "verbose": -1}
    model = loaded(lightgbm.train(parameters, lightgbm.Dataset(X, Y)), tmp_path)
    rows = [6.8, 2.8, 4.8, 1.6, 6.0, 3.4, 4.5, 1.6]
    tensor = InferInput("input-0", [2, 4], "FP32", rows)
    (output,) = model.predict(InferRequest("m", [tensor])).outputs
    assert (output.datatype, output.shape) == ("FP64", [2, 3])
    assert output.as_numpy().ravel() == pytest.approx(
        [
            3.7899802486733807e-06, 0.9996982074114203, 0.00029800260833088297,
            5.2172911836629736e-05, 0.99973341723876, 0.000214409849403366,
        ],
        rel=1e-6,
    )  # fmt: skip


def test_rows_by_feature_name(tmp_path):
    model = loaded(train(TRAINING["classes"], NAMES), tmp_path)
    columns = {name: {"0": value} for name, value in zip(NAMES, X[0], strict=True)}
    answer = model.predict({"inputs": [dict(reversed(columns.items()))]})["predictions"]
    np.testing.assert_array_equal(answer, model.predict({"instances": X[:1]})["predictions"])


def test_metadata_tells_what_it_takes_and_answers(tmp_path):
    model = loaded(BOOSTERS["classes"], tmp_path)
    assert model.get_input_types() == [{"name": "input-0", "datatype": "FP32", "shape": [-1, 4]}]
    assert model.get_output_types() == [{"name": "output-0", "datatype": "FP64", "shape": [-1, 3]}]


@pytest.mark.parametrize("kind", TRAINING)
def test_no_damage_is_found_in_what_lightgbm_writes(kind):
    assert find_damage(BOOSTERS[kind].model_to_string().encode()) == ""


TEXT = BOOSTERS["classes"].model_to_string()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("<html>", 'begins with "<html>"', id="a page"),
        pytest.param("tree\nversion=v4\n", 'ends before "end of trees"', id="a head alone"),
        pytest.param(TEXT[: len(TEXT) // 2], 'ends before "end of trees"', id="half of it"),
        pytest.param(
            TEXT.replace("num_leaves=", "num_leaves=9", 1), "leaf values", id="other sizes"
        ),
        pytest.param(TEXT.replace("Tree=1\n", "Tree=7\n"), "tree 1 is not where", id="renamed"),
        pytest.param(
            re.sub(r"left_child=-?\d+", "left_child=0", TEXT, count=1),
            "tree 0: left_child of node 0 is 0",
            id="a node that points to itself",
        ),
        pytest.param(
            TEXT.replace("split_feature=2", "split_feature=8", 1),
            "tree 0: it splits by a feature that is none of the 4",
            id="a feature that there is not",
        ),
        pytest.param(
            TEXT.replace("max_feature_idx", "max_feature"), "no max_feature_idx", id="head"
        ),
    ],
)
def test_damage_is_found_before_lightgbm_reads_it(tmp_path, content, said):
    (tmp_path / "model.bst").write_text(content)
    told = failure(tmp_path)
    assert told.reason == "ModelCorrupt"
    assert said in told.message


@settings(deadline=None)
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 400), st.binary(max_size=4))
def test_any_cut_or_change_is_damage_or_none_and_never_an_error(at, length, other):
    text = TEXT.encode()
    assert isinstance(find_damage(text[:at] + other + text[at + length :]), str)


def test_the_form_of_a_newer_release_names_both(tmp_path):
    (tmp_path / "model.bst").write_text(TEXT.replace("version=v4", "version=v9"))
    told = failure(tmp_path)
    assert told.reason == "ModelIncompatible"
    assert "has the form v9 of LightGBM 9" in told.message
    assert f"LightGBM {lightgbm.__version__} is installed" in told.message
    assert 'set runtimeVersion: "9.0.0"' in told.message


def test_no_file_and_two_files(tmp_path):
    assert failure(tmp_path).reason == "ModelMissing"
    for name in ("a.bst", "b.bst"):
        (tmp_path / name).write_text(TEXT)
    assert failure(tmp_path).reason == "ModelAmbiguous"
