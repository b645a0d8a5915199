"""scikit-learn on tables: skops files, pipelines on DataFrames, mixed types, who is to blame."""

from __future__ import annotations

import operator
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.sklearn import SKLearnModel
from sampan.server.load_failure import LoadFailure

X, Y = load_iris(return_X_y=True)
ROWS = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}
CARS = pd.DataFrame(
    {
        "make": ["a", "b", "a", "c"] * 5,
        "power": [50.0, 90.0, 60.0, np.nan] * 5,
        "doors": [2, 4] * 10,
    }
)
PRICES = np.arange(20.0)
MIXED = make_pipeline(
    ColumnTransformer(
        [
            ("make", OneHotEncoder(handle_unknown="ignore"), ["make"]),
            ("power", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["power"]),
        ],
        remainder="passthrough",
    ),
    LinearRegression(),
).fit(CARS, PRICES)
CAR = {"make": "b", "power": 70.0, "doors": 4}


def loaded(estimator, folder, *, skop=False, **options):
    if skop:
        skops.io.dump(estimator, folder / "model.skops")
    else:
        joblib.dump(estimator, folder / "model.joblib")
    model = SKLearnModel("m", str(folder), **options)
    model.load()
    model.warm_up()
    return model


def column(name, datatype, *values):
    return InferInput(name, [len(values)], datatype, list(values))


@pytest.mark.parametrize("skop", [False, True], ids=["joblib", "skops"])
def test_a_pipeline_on_a_dataframe_needs_no_trust_and_takes_every_form(skop, tmp_path):
    model = loaded(MIXED, tmp_path, skop=skop)
    expected = MIXED.predict(pd.DataFrame([CAR]))
    columns = [
        column("make", "BYTES", "b"), column("power", "FP32", 70.0), column("doors", "INT64", 4)
    ]  # fmt: skip
    for payload in (
        {"instances": [CAR]},
        {"instances": [dict(reversed(CAR.items()))]},
        {"inputs": [{name: {"0": value} for name, value in CAR.items()}]},
        {"inputs": {name: [value] for name, value in CAR.items()}},
    ):
        np.testing.assert_array_equal(model.predict(payload)["predictions"], expected)
    for parameters in (None, {"content_type": "pd"}):
        (answer,) = model.predict(InferRequest("m", columns, parameters=parameters)).outputs
        np.testing.assert_array_equal(answer.as_numpy(), expected)


def test_a_missing_value_of_a_pipeline_that_fills_it_in(tmp_path):
    model = loaded(MIXED, tmp_path)
    answer = model.predict({"instances": [{**CAR, "power": None}]})["predictions"]
    np.testing.assert_array_equal(answer, MIXED.predict(pd.DataFrame([{**CAR, "power": np.nan}])))


def test_a_missing_column_is_named(tmp_path):
    model = loaded(MIXED, tmp_path)
    with pytest.raises(InvalidInput, match="power"):
        model.predict({"instances": [{"make": "a", "doors": 2}]})


def test_a_skops_file(tmp_path):
    model = loaded(SVC(gamma="scale").fit(X, Y), tmp_path, skop=True)
    assert model.predict(ROWS)["predictions"].tolist() == [1, 1]


def test_probabilities_of_a_pipeline(tmp_path, monkeypatch):
    monkeypatch.setenv("PREDICT_PROBA", "TRUE")
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    answer = loaded(estimator, tmp_path).predict(ROWS)["predictions"]
    np.testing.assert_array_equal(answer, estimator.predict_proba(ROWS["instances"]))


def test_a_skops_file_that_names_a_function_is_refused_by_name(tmp_path):
    estimator = make_pipeline(FunctionTransformer(operator.neg), LinearRegression()).fit(X, Y)
    with pytest.raises(LoadFailure) as caught:
        loaded(estimator, tmp_path, skop=True)
    assert caught.value.reason == "ModelUntrusted"
    assert 'operator.neg"' in caught.value.message
    assert loaded(estimator, tmp_path, skop=True, trust=True).predict(ROWS)


@pytest.mark.parametrize("content", [b"", b"not a ZIP"])
def test_a_file_that_is_no_skops(tmp_path, content):
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(LoadFailure) as caught:
        SKLearnModel("m", str(tmp_path)).load()
    assert caught.value.reason == "ModelCorrupt"


def test_a_zip_that_is_no_skops(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(LoadFailure) as caught:
        SKLearnModel("m", str(tmp_path)).load()
    assert caught.value.reason == "ModelCorrupt"


NAMED = pd.DataFrame(X, columns=["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("estimator", "payload", "said"),
    [
        pytest.param(
            SVC().fit(X, Y), {"instances": [[1, 2, 3]]}, '"instances" has 3 features a row', id="V1"
        ),
        pytest.param(
            SVC().fit(X, Y),
            InferRequest("m", [InferInput("petals", [1, 3], "FP32", [1, 2, 3])]),
            '"petals" has 3 features a row; give 4 features',
            id="a tensor that is too thin",
        ),
        pytest.param(
            SVC().fit(X, Y),
            {"instances": [[1, 2, None, 4]]},
            '"instances"[0]: feature 2 is missing (NaN)',
            id="null where scikit-learn takes none",
        ),
        pytest.param(
            LogisticRegression(max_iter=300).fit(NAMED, Y),
            {"instances": [{"a": 1, "b": 2, "c": None, "d": 4}]},
            'feature "c" is missing (NaN)',
            id="null by name",
        ),
        pytest.param(
            SVC().fit(X, Y),
            {"instances": [["1", "x", "2", "3"]]},
            'feature 0 is "1"; this model takes numbers',
            id="text",
        ),
        pytest.param(
            SVC().fit(X, Y),
            InferRequest("m", [InferInput("petals", [1, 4], "BYTES", ["1", "2", "3", "4"])]),
            '"petals" has datatype BYTES',
            id="a tensor of text",
        ),
        pytest.param(SVC().fit(X, Y), {"instances": []}, '"instances" has no rows', id="no rows"),
        pytest.param(
            LogisticRegression(max_iter=300).fit(NAMED, Y),
            {"instances": [{"a": 1, "b": 2, "c": 3, "e": 4}]},
            'has "e", which is no feature of this model',
            id="an unknown feature",
        ),
    ],
)
def test_what_scikit_learn_refuses_is_told_by_tensor_and_feature(
    estimator, payload, said, tmp_path
):
    with pytest.raises(InvalidInput) as caught:
        loaded(estimator, tmp_path).predict(payload)
    assert said in str(caught.value)


def test_missing_values_reach_an_estimator_that_takes_them(tmp_path):
    estimator = HistGradientBoostingRegressor(max_iter=2).fit(X, Y)
    answer = loaded(estimator, tmp_path).predict({"instances": [[1, None, 2, 3]]})["predictions"]
    np.testing.assert_array_equal(answer, estimator.predict([[1, np.nan, 2, 3]]))
