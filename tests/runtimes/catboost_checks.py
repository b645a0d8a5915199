"""What holds of the CatBoost runtime, checked where CatBoost is: in the runtime's environment.

Run by `test_catboost.py`: `python catboost_checks.py FOLDER`.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import catboost
import numpy as np

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.catboost import CatBoostModel
from sampan.server.load_failure import LoadFailure

OPTIONS = {"iterations": 10, "verbose": 0, "thread_count": 1, "allow_writing_files": False}
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(200, 4))
CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
WORDS = np.array(["low", "mid", "high"])[CLASSES]
MODELS = {
    "classes": catboost.CatBoostClassifier(**OPTIONS).fit(X, CLASSES),
    "words": catboost.CatBoostClassifier(**OPTIONS).fit(X, WORDS),
    "two classes": catboost.CatBoostClassifier(**OPTIONS).fit(X, X[:, 0] > 0),
    "a regression": catboost.CatBoostRegressor(**OPTIONS).fit(X, X[:, 0]),
    "counts": catboost.CatBoostRegressor(loss_function="Poisson", **OPTIONS).fit(X, CLASSES),
}


def raised(kind: type[Exception], call: Callable[[], object]):
    """Return the exception of this kind that a call raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def loaded(model, folder: Path) -> CatBoostModel:
    """Save a model and load it as the server does."""
    folder.mkdir()
    model.save_model(str(folder / "model.cbm"))
    made = CatBoostModel("m", str(folder))
    made.load()
    made.warm_up()
    return made


def check_answers(name: str, model, made: CatBoostModel) -> None:
    """Compare with the library, and a row among others with the row alone, bit for bit."""
    rows = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X)
    whole = np.asarray(made.predict({"instances": rows})["predictions"])
    expected = model.predict(rows).ravel()
    assert whole.tolist() == expected.tolist(), name
    single = [made.predict({"instances": rows[i : i + 1]})["predictions"][0] for i in range(200)]
    assert whole.tolist() == list(single), name
    assert made.row_wise


def check_probabilities(folder: Path) -> None:
    """PREDICT_PROBA=true answers a classifier's probabilities."""
    os.environ["PREDICT_PROBA"] = "true"
    model = MODELS["classes"]
    answer = loaded(model, folder).predict({"instances": X})["predictions"]
    np.testing.assert_array_equal(answer, model.predict_proba(X))
    del os.environ["PREDICT_PROBA"]


class Marker:
    """Unpickled, makes a file: what a hostile model would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def check_damage(folder: Path) -> None:
    """Files that are no model are told as such, and none of them runs."""
    whole = (folder.parent / "classes" / "model.cbm").read_bytes()
    folder.mkdir()
    made = folder / "made"
    hostile = pickle.dumps(Marker(made))
    for content in (
        hostile,
        b"CBM1" + hostile,
        b"",
        b"<html>",
        whole[:200],
        whole[: len(whole) // 2],
        b"CBM2" + whole[4:],
    ):
        (folder / "model.cbm").write_bytes(content)
        failure = raised(LoadFailure, CatBoostModel("m", str(folder)).load)
        assert failure.reason == "ModelCorrupt", failure
    assert not made.exists()


def check_newer(folder: Path) -> None:
    """A model of a form that is not known here names both versions and the mend."""
    whole = (folder.parent / "classes" / "model.cbm").read_bytes()
    folder.mkdir()
    newer = whole.replace(b"FlabuffersModel_v1", b"FlabuffersModel_v7")
    (folder / "model.cbm").write_bytes(newer.replace(b"tags/v1.", b"tags/v9."))
    failure = raised(LoadFailure, CatBoostModel("m", str(folder)).load)
    assert failure.reason == "ModelIncompatible", failure
    saved = catboost.__version__.replace("1.", "9.", 1)
    assert f"saved by CatBoost {saved} in form 7" in failure.message, failure
    assert f"cannot be read by {catboost.__version__}" in failure.message, failure
    assert f'set runtimeVersion: "{saved}"' in failure.message, failure


def check_categories(folder: Path) -> None:
    """A categorical column takes text and whole numbers; anything else is told by its name."""
    rows = [[str(int(row[0] > 0)), *row[1:]] for row in X.tolist()]
    model = catboost.CatBoostClassifier(**OPTIONS).fit(rows, CLASSES, cat_features=[0])
    model.set_feature_names(["side", "a", "b", "c"])
    made = loaded(model, folder)
    assert [t["name"] for t in made.get_input_types()] == ["side", "a", "b", "c"]
    assert len(made.predict({"instances": [[1, 0.5, 0, 0], ["0", 0.5, 0, 0]]})["predictions"]) == 2
    for value, said in ((0.5, 'feature "side" is 0.5'), ({}, 'feature "side" is {}')):
        payload = {"instances": [[value, 0, 0, 0]]}
        refusal = raised(InvalidInput, partial(made.predict, payload))
        assert said in str(refusal), refusal


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for kind, fitted in MODELS.items():
        check_answers(kind, fitted, loaded(fitted, root / kind))
    check_probabilities(root / "probabilities")
    check_damage(root / "damage")
    check_newer(root / "newer")
    check_categories(root / "categories")
    sys.stdout.write("all checks hold\n")
