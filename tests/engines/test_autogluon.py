"""AutoGluon's tabular predictors in real AutoGluon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.autogluon import AutoGluonModel
from sampan.server.load_failure import LoadFailure

tabular = pytest.importorskip(
    "autogluon.tabular", reason="autogluon is not installed: make test-engines"
)
pd = pytest.importorskip("pandas")

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]
ROWS = [
    {"age": 20, "fare": 7.5, "sex": "female", "extra": 1},
    {"age": 60, "fare": 80.0, "sex": "male"},
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a folder with a predictor of a label of text."""
    rng = np.random.default_rng(0)
    sex = rng.choice(["male", "female"], 200)
    table = pd.DataFrame(
        {
            "age": rng.integers(1, 80, 200),
            "fare": rng.uniform(5, 90, 200),
            "sex": sex,
            "survived": np.where(sex == "female", "yes", "no"),
        }
    )
    folder = tmp_path_factory.mktemp("ag") / "predictor"
    predictor = tabular.TabularPredictor("survived", path=str(folder), verbosity=0)
    predictor.fit(table, hyperparameters={"GBM": {"num_boost_round": 5}})
    return folder


def load(folder: Path, *, trust: bool = True) -> AutoGluonModel:
    model = AutoGluonModel("m", str(folder), trust=trust)
    assert model.load()
    return model


def v2(**columns):
    inputs = []
    for name, values in columns.items():
        text = isinstance(values[0], str)
        tensor = InferInput(name, [len(values)], "BYTES" if text else "FP64", list(values))
        inputs.append(tensor)
    return InferRequest("m", inputs)


def test_rows_are_answered_with_labels(saved):
    model = load(saved)
    assert model.predict({"instances": ROWS}) == {"predictions": ["yes", "no"]}
    request = v2(age=[20.0, 60.0], fare=[7.5, 80.0], sex=["female", "male"])
    output = model.predict(request).outputs[0]
    assert (output.name, output.datatype, output.data) == ("output-0", "BYTES", ["yes", "no"])


def test_probabilities_are_asked_for_by_a_variable(saved, monkeypatch):
    monkeypatch.setenv("PREDICT_PROBA", "true")
    model = load(saved)
    (first, _) = model.predict({"instances": ROWS})["predictions"]
    assert sorted(first) == ["no", "yes"]
    assert first["yes"] > 0.5
    outputs = model.predict(v2(age=[20.0], fare=[7.5], sex=["female"])).outputs
    assert [output.name for output in outputs] == ["proba_no", "proba_yes"]
    assert [row["name"] for row in model.get_output_types()] == ["proba_no", "proba_yes"]


def test_metadata_is_of_the_features(saved):
    model = load(saved)
    assert model.get_input_types() == [
        {"name": "age", "datatype": "INT64", "shape": [-1]},
        {"name": "fare", "datatype": "FP64", "shape": [-1]},
        {"name": "sex", "datatype": "BYTES", "shape": [-1]},
    ]
    assert model.get_output_types() == [{"name": "output-0", "datatype": "BYTES", "shape": [-1]}]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        pytest.param({"instances": [{"age": 1, "fare": 2}]},
                     'feature "sex" is missing in instance 0', id="a missing feature"),
        pytest.param({"instances": [[1, 2, "male"]]}, "instance 0 is no object", id="a list"),
        pytest.param({"instances": []}, "has no rows", id="no rows"),
        pytest.param({"instances": [{"age": "old", "fare": 2, "sex": "male"}]},
                     """feature "age" holds 'old'; send a number""", id="text for a number"),
        pytest.param(v2(age=[1.0], fare=[2.0]), 'feature "sex" is missing', id="no tensor"),
        pytest.param(v2(age=[1.0, 2.0], fare=[2.0], sex=["male"]), "send as many",
                     id="tensors of unequal length"),
    ],
)  # fmt: skip
def test_wrong_rows_name_what_is_wrong(saved, payload, said):
    with pytest.raises(InvalidInput) as raised:
        load(saved).predict(payload)
    assert said in str(raised.value)


def test_pickles_are_not_loaded_unless_trusted(saved):
    with pytest.raises(LoadFailure) as raised:
        load(saved, trust=False)
    assert raised.value.reason == "ModelUntrusted"


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        (None, "ModelMissing", "it holds nothing"),
        (b"no pickle", "ModelCorrupt", "again"),
    ],
)
def test_what_cannot_be_loaded_is_told(content, reason, said, tmp_path):
    if content is not None:
        (tmp_path / "predictor.pkl").write_bytes(content)
    with pytest.raises(LoadFailure) as raised:
        load(tmp_path)
    assert (raised.value.reason, said in raised.value.message) == (reason, True)


def test_another_version_is_named(saved, tmp_path):
    import shutil

    folder = tmp_path / "old"
    shutil.copytree(saved, folder)
    (folder / "version.txt").write_text("0.8.2")
    with pytest.raises(LoadFailure) as raised:
        load(folder)
    assert raised.value.reason == "ModelIncompatible"
    assert "0.8.2" in raised.value.message
