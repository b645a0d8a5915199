"""MLflow: the MLmodel file, signatures, the forms of its scoring server. Without MLflow itself."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import xgboost
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.mlflow import MLflowModel
from sampan.runtimes.mlflow_forms import normalise, parse_csv
from sampan.server.load_failure import LoadFailure

X, Y = load_iris(return_X_y=True, as_frame=True)
NAMES = list(X.columns)
TREE = DecisionTreeClassifier(random_state=0).fit(X, Y)
ROWS = X.iloc[[0, 60, 120]].to_numpy().tolist()
DOUBLES = [{"type": "double", "name": name, "required": True} for name in NAMES]
CARS = pd.DataFrame({"make": ["a", "b", "c"] * 4, "doors": [2, 4, 2] * 4, "power": [1.0, 2, 3] * 4})
CAR_TREE = make_pipeline(
    ColumnTransformer([("make", OneHotEncoder(), ["make"])], remainder="passthrough"),
    DecisionTreeRegressor(random_state=0),
).fit(CARS, range(12))
CAR_COLUMNS = [
    {"type": "string", "name": "make", "required": True},
    {"type": "long", "name": "doors", "required": True},
    {"type": "double", "name": "power", "required": True},
]


def saved(folder, model, inputs=None, loader="mlflow.sklearn", **function):
    """Write a model as MLflow does; return it loaded."""
    if loader == "mlflow.sklearn":
        (folder / "model.pkl").write_bytes(pickle.dumps(model))
        function = {"model_path": "model.pkl", "predict_fn": "predict", **function}
    document = {
        "mlflow_version": "3.1.0",
        "flavors": {"python_function": {"loader_module": loader, **function}},
    }
    if inputs is not None:
        document["signature"] = {"inputs": json.dumps(inputs), "outputs": None}
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    made = MLflowModel("m", str(folder))
    made.load()
    made.warm_up()
    return made


def ask(model, payload):
    return model.predict(model.preprocess(payload))["predictions"]


@pytest.mark.parametrize("signature", [None, DOUBLES], ids=["without", "with a signature"])
def test_every_form_of_the_scoring_server_gives_the_same(signature, tmp_path):
    model = saved(tmp_path, TREE, signature)
    turned = NAMES[::-1]
    columns = dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))
    for payload in (
        {"instances": ROWS},
        {"inputs": ROWS},
        {"inputs": columns},
        {"dataframe_records": [dict(zip(NAMES, row, strict=True)) for row in ROWS]},
        {"dataframe_split": {"columns": turned, "data": [row[::-1] for row in ROWS]}},
        {"dataframe_split": {"data": ROWS}},
    ):
        assert ask(model, payload).tolist() == [0, 1, 2]


def test_columns_of_the_signature_come_as_tensors(tmp_path):
    model = saved(tmp_path, TREE, DOUBLES)
    assert [t["shape"] for t in model.get_input_types()] == [[-1, 1]] * 4
    inputs = [
        InferInput(name, [3, 1], "FP64", list(values))
        for name, values in zip(NAMES, zip(*ROWS, strict=True), strict=True)
    ]
    (answer,) = model.predict(InferRequest("m", inputs[::-1])).outputs
    assert (answer.name, answer.data) == ("output-1", [0, 1, 2])


def test_columns_that_differ_in_type_reach_the_model_as_a_dataframe(tmp_path):
    model = saved(tmp_path, CAR_TREE, CAR_COLUMNS)
    row = {"make": "b", "doors": 4, "power": 2, "colour": "red"}
    expected = CAR_TREE.predict(pd.DataFrame([row]))
    np.testing.assert_array_equal(ask(model, {"dataframe_records": [row]}), expected)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param({"make": "b", "doors": 4.5, "power": 2}, 'feature "doors" is 4.5', id="half"),
        pytest.param({"make": 3, "doors": 4, "power": 2}, 'feature "make" is 3', id="no text"),
        pytest.param(
            {"make": "b", "doors": None, "power": 2}, 'feature "doors" is missing', id="no door"
        ),
        pytest.param({"make": "b", "power": 2}, 'lacks the feature "doors"', id="left out"),
    ],
)
def test_what_does_not_fit_the_signature_is_named(row, said, tmp_path):
    model = saved(tmp_path, CAR_TREE, CAR_COLUMNS)
    with pytest.raises(InvalidInput) as caught:
        ask(model, {"dataframe_records": [row]})
    assert said in str(caught.value)


def test_an_optional_column_may_be_left_out(tmp_path):
    columns = [*CAR_COLUMNS[:2], {**CAR_COLUMNS[2], "required": False}]
    model = saved(tmp_path, CAR_TREE, columns)
    assert len(ask(model, {"dataframe_records": [{"make": "a", "doors": 2}]})) == 1


def tensor_signature(dtype, shape):
    return [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}]


def test_a_tensor_signature(tmp_path):
    model = saved(tmp_path, TREE, tensor_signature("float64", [-1, 4]))
    assert ask(model, {"instances": ROWS}).tolist() == [0, 1, 2]
    assert model.get_input_types() == [{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}]
    with pytest.raises(InvalidInput, match=r'"instances" has shape \[1, 3\]'):
        ask(model, {"instances": [[1, 2, 3]]})
    with pytest.raises(InvalidInput, match='"instances" holds BYTES'):
        ask(model, {"instances": [["a", "b", "c", "d"]]})


@pytest.mark.parametrize("kind", ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"])
def test_boosters_answer_as_their_class_does(kind, tmp_path):
    classifier = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, Y)
    classifier.save_model(tmp_path / "model.ubj")
    (tmp_path / "MLmodel").write_text(
        yaml.safe_dump(
            {
                "flavors": {
                    "python_function": {"loader_module": "mlflow.xgboost", "data": "model.ubj"},
                    "xgboost": {"model_class": kind, "data": "model.ubj"},
                }
            }
        )
    )
    model = MLflowModel("m", str(tmp_path))
    model.load()
    booster = kind.endswith("Booster")
    expected = classifier.predict_proba(X) if booster else classifier.predict(X)
    np.testing.assert_array_equal(ask(model, {"instances": X.to_numpy()}), expected)


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        pytest.param("flavors: [", "ModelCorrupt", "no YAML", id="no YAML"),
        pytest.param("flavors: 3", "ModelCorrupt", "no flavors", id="no flavors"),
        pytest.param("flavors: {h2o: {}}", "ModelIncompatible", "it has h2o", id="no Python"),
        pytest.param(
            "flavors: {python_function: {loader_module: mlflow.sklearn}}\nsignature: {inputs: '['}",
            "ModelCorrupt",
            "signature",
            id="a broken signature",
        ),
        pytest.param(
            "flavors: {python_function: {loader_module: mlflow.sklearn, model_path: gone.pkl}}",
            "ModelMissing",
            '"gone.pkl"',
            id="a file that is not there",
        ),
    ],
)
def test_a_document_that_is_wrong(text, reason, said, tmp_path):
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(LoadFailure) as caught:
        MLflowModel("m", str(tmp_path)).load()
    assert (caught.value.reason, said in caught.value.message) == (reason, True), caught.value


def test_a_folder_without_a_model_and_one_with_two(tmp_path):
    with pytest.raises(LoadFailure) as caught:
        MLflowModel("m", str(tmp_path)).load()
    assert caught.value.reason == "ModelMissing"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").touch()
    with pytest.raises(LoadFailure) as caught:
        MLflowModel("m", str(tmp_path)).load()
    assert caught.value.reason == "ModelAmbiguous"


def test_csv_becomes_columns():
    assert parse_csv(b"a,b\n1,x\n,2.5\n") == {"inputs": {"a": [1, None], "b": ["x", 2.5]}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b"", "no rows", id="empty"),
        pytest.param(b"a,b\n", "no rows", id="a head alone"),
        pytest.param(b"a,b\n1\n", "line 2 of the CSV has 1 values, not 2", id="short"),
        pytest.param(b"\xff\xfe", "only supports UTF-8", id="no UTF-8"),
    ],
)
def test_csv_that_is_none(body, said):
    with pytest.raises(InvalidInput, match=said):
        parse_csv(body)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"instances": [], "inputs": []},
        {"dataframe_split": [1]},
        {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
        {"dataframe_records": {"a": 1}},
    ],
)
def test_forms_that_are_none(payload):
    with pytest.raises(InvalidInput):
        normalise(payload)


def test_params_reach_no_flavor_that_takes_none(tmp_path):
    model = saved(tmp_path, TREE, DOUBLES)
    with pytest.raises(InvalidInput, match='"temperature" is not one that the signature declares'):
        ask(model, {"instances": ROWS, "params": {"temperature": 1}})
