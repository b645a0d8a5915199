"""The models of KServe's samples, rebuilt: a folder each, what to ask, and what it must answer.

Numbers that KServe's own tests expect are given where its data set is here (iris); where it is not
(house prices, the census, reviews), a model of the same form is made, and the answer is what the
library itself says.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FLOWERS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
TYPED = [[6.8, 2.8, 4.8, 1.6], [6.0, 3.4, 4.5, 1.6]]
"""What KServe's test of LightGBM asks."""
SOFTMAX = [
    3.7899802486733807e-06, 0.9996982074114203, 0.00029800260833088297,
    5.2172911836629736e-05, 0.99973341723876, 0.000214409849403366,
]  # fmt: skip
SETOSA = [[5.1, 3.5, 1.4, 0.2]]


@dataclass(frozen=True)
class Sampled:
    """A rebuilt model: the instances of its documented request, and the answer to them.

    `predictions` over V1; `outputs` are the values of each output, over V2 and gRPC.
    """

    uri: str
    instances: list[Any]
    predictions: list[Any]
    outputs: list[list[Any]]


def is_same(told: Any, wanted: Any) -> bool:
    """Whether two answers are one, numbers as near as they are over FP32 and JSON."""
    if isinstance(wanted, dict):
        return set(told) == set(wanted) and all(is_same(told[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(told) == len(wanted) and all(map(is_same, told, wanted))
    return bool(told == wanted or (not isinstance(wanted, str) and told == pytest.approx(wanted)))


def flat(values: list[Any]) -> list[Any]:
    """Return the values of nested lists, row by row."""
    return [
        one for value in values for one in (flat(value) if isinstance(value, list) else [value])
    ]


def make_iris(folder: Path) -> Sampled:
    """KServe's first model: an SVC of irises."""
    from sklearn import datasets, svm

    data = datasets.load_iris()
    model = svm.SVC(gamma="scale").fit(data.data, data.target)
    return _dumped(model, folder, FLOWERS, [1, 1])


def make_digits(folder: Path) -> Sampled:
    """The digits of ModelMesh's first example, in one file."""
    from sklearn import datasets, svm

    data = datasets.load_digits()
    model = svm.SVC(gamma=0.001).fit(data.data, data.target)
    return _dumped(model, folder, data.data[:2].tolist(), [0, 1], "mnist.joblib")


def make_regression(folder: Path) -> Sampled:
    """MLServer's sample: a logistic regression."""
    from sklearn import datasets, linear_model

    data = datasets.load_iris()
    model = linear_model.LogisticRegression(max_iter=500).fit(data.data, data.target)
    return _dumped(model, folder, FLOWERS, model.predict(FLOWERS).tolist())


HOUSES = [
    {"MSZoning": "RL", "LotArea": 8450, "LotShape": "Reg", "OverallQual": 7, "YearBuilt": 2003},
    {"MSZoning": "RM", "LotArea": 6120, "LotShape": "IR1", "OverallQual": 5, "YearBuilt": 1931},
    {"MSZoning": "RL", "LotArea": 9600, "LotShape": "Reg", "OverallQual": 6, "YearBuilt": 1976},
]


def make_mixed(folder: Path) -> Sampled:
    """Logarithms of house prices, by columns of text and of numbers."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.DataFrame(HOUSES)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["MSZoning", "LotShape"]), remainder="passthrough"
    )
    model = make_pipeline(columns, Ridge()).fit(frame, [12.2, 11.8, 12.1])
    return _dumped(model, folder, HOUSES[:2], model.predict(frame[:2]).tolist())


TEXTS = ["the film is great", "what a bore", "a great story", "dull and too long"]


def make_reviews(folder: Path) -> Sampled:
    """Whether a review is good."""
    model = _fit_texts()
    return _dumped(model, folder, TEXTS[:2], model.predict(TEXTS[:2]).tolist())


def make_news(folder: Path) -> Sampled:
    """The probabilities of texts' kinds: its sample sets PREDICT_PROBA."""
    model = _fit_texts()
    return _dumped(model, folder, TEXTS[:2], model.predict_proba(TEXTS[:2]).tolist())


def make_income(folder: Path) -> Sampled:
    """Trees over the twelve encoded columns of a census."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    rows = np.random.default_rng(0).integers(0, 50, (200, 12))
    model = RandomForestClassifier(10, random_state=0).fit(rows, rows[:, 0] > 25)
    model.classes_ = np.array([0, 1])
    return _dumped(model, folder, rows[:2].tolist(), model.predict(rows[:2]).tolist())


def make_lightgbm(folder: Path) -> Sampled:
    """KServe's LightGBM sample, trained as its page says; the numbers are those of its test."""
    import lightgbm
    from sklearn import datasets

    data = datasets.load_iris()
    parameters = {"objective": "multiclass", "metric": "softmax", "num_class": 3, "verbose": -1}
    lightgbm.train(parameters, lightgbm.Dataset(data.data, data.target)).save_model(
        folder / "model.bst"
    )
    return Sampled(str(folder), TYPED, [SOFTMAX[:3], SOFTMAX[3:]], [SOFTMAX])


def make_xgboost(folder: Path) -> Sampled:
    """KServe's XGBoost sample: `multi:softmax`, whose answer is the class."""
    import xgboost
    from sklearn import datasets

    data = datasets.load_iris()
    matrix = xgboost.DMatrix(data.data, data.target)
    parameters = {"objective": "multi:softmax", "num_class": 3, "max_depth": 3, "verbosity": 0}
    xgboost.train(parameters, matrix, num_boost_round=10).save_model(folder / "model.bst")
    return Sampled(str(folder), FLOWERS, [1, 1], [[1.0, 1.0]])


def make_pmml(folder: Path) -> Sampled:
    """The tree of irises, as the `pmml` example writes it."""
    script = ROOT / "examples" / "07-pmml-iris" / "train.py"
    copy = folder / "train.py"
    copy.write_text(script.read_text())
    subprocess.run([sys.executable, str(copy)], check=True, capture_output=True)
    row = {
        "Species": "setosa",
        "Probability_setosa": 1.0,
        "Probability_versicolor": 0.0,
        "Probability_virginica": 0.0,
        "Node_Id": "2",
    }
    outputs = [[value] for value in row.values()]
    return Sampled(str(folder / "model"), SETOSA, [row], outputs)


def _fit_texts() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 1, 0])


def _dumped(
    model: Any, folder: Path, rows: list[Any], told: list[Any], name: str = "model.joblib"
) -> Sampled:
    import joblib

    joblib.dump(model, folder / name)
    uri = str(folder if name == "model.joblib" else folder / name)
    return Sampled(uri, rows, told, [flat(told)])


MAKERS: dict[str, Callable[[Path], Sampled]] = {
    "iris": make_iris,
    "digits": make_digits,
    "regression": make_regression,
    "mixed": make_mixed,
    "reviews": make_reviews,
    "news": make_news,
    "income": make_income,
    "lightgbm": make_lightgbm,
    "xgboost": make_xgboost,
    "pmml": make_pmml,
}
"""By the name that a table of samples uses."""
