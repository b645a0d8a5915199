"""What the metadata of a scikit-learn model says is what the model answers."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.sklearn import SKLearnModel

X, Y = load_iris(return_X_y=True)
WORDS = np.array(["setosa", "versicolor", "virginica"])[Y]
PAIRS = np.stack([Y, Y + 1], axis=1)


def loaded(estimator, tmp_path):
    joblib.dump(estimator, tmp_path / "model.joblib")
    model = SKLearnModel("m", str(tmp_path))
    model.load()
    return model


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(SVC().fit(X, Y), id="whole numbers"),
        pytest.param(LogisticRegression(max_iter=500).fit(X, WORDS), id="words"),
        pytest.param(LinearRegression().fit(X, Y), id="a regressor"),
        pytest.param(KMeans(3, n_init=1).fit(X), id="the labels of a clustering"),
        pytest.param(RandomForestRegressor(3).fit(X, PAIRS), id="several outputs"),
        pytest.param(RandomForestClassifier(3).fit(X, PAIRS), id="several outputs of classes"),
        pytest.param(make_pipeline(StandardScaler(), SVC()).fit(X, Y), id="a pipeline"),
    ],
)
@pytest.mark.parametrize("rows", [1, 3])
def test_a_request_of_the_declared_input_gets_the_declared_output(estimator, rows, tmp_path):
    model = loaded(estimator, tmp_path)
    (declared,) = model.get_input_types()
    assert (declared["datatype"], declared["shape"]) == ("FP64", [-1, 4])
    tensor = InferInput(
        declared["name"], [rows, 4], declared["datatype"], X[:rows].ravel().tolist()
    )
    (answer,) = model.predict(InferRequest("m", [tensor])).outputs
    (told,) = model.get_output_types()
    assert (told["name"], told["datatype"]) == (answer.name, answer.datatype)
    assert [rows, *told["shape"][1:]] == list(answer.shape)


def test_probabilities_are_told_where_they_are_what_is_answered(tmp_path, monkeypatch):
    monkeypatch.setenv("PREDICT_PROBA", "true")
    model = loaded(LogisticRegression(max_iter=500).fit(X, Y), tmp_path)
    assert model.get_output_types() == [{"name": "output-0", "datatype": "FP64", "shape": [-1, 3]}]


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(
            make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(list(WORDS), Y), id="texts"
        ),
        pytest.param(
            make_pipeline(
                ColumnTransformer([("words", OneHotEncoder(), [0])], remainder="passthrough"),
                LogisticRegression(),
            ).fit(np.array([["a", 1], ["b", 2]] * 9, dtype=object), [0, 1] * 9),
            id="mixed columns",
        ),
    ],
)
def test_what_takes_something_else_than_numbers_tells_nothing(estimator, tmp_path):
    joblib.dump(estimator, tmp_path / "model.joblib")
    model = SKLearnModel("m", str(tmp_path), trust=True)
    model.load()
    assert (model.get_input_types(), model.get_output_types()) == ([], [])
