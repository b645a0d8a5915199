"""The scikit-learn runtime: files, answers, and what it says when a file is wrong."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import pickle
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import sampan.runtimes
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.pickles import load_restricted, parse_names
from sampan.runtimes.sklearn import SKLearnModel
from sampan.server.load_failure import LoadFailure

X, Y = load_iris(return_X_y=True)
ROWS = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a fitted classifier."""
    joblib.dump(SVC(gamma="scale").fit(X, Y), tmp_path / "model.joblib")
    return tmp_path


def failure(folder, **options):
    """Return how loading fails."""
    with pytest.raises(LoadFailure) as caught:
        SKLearnModel("m", str(folder), **options).load()
    return caught.value


@pytest.mark.parametrize("extension", [".joblib", ".pkl", ".pickle"])
@pytest.mark.parametrize(
    "dump", [joblib.dump, lambda value, path: path.write_bytes(pickle.dumps(value))]
)
def test_every_extension_holds_either_kind_of_file(tmp_path, extension, dump):
    dump(SVC(gamma="scale").fit(X, Y), tmp_path / f"model{extension}")
    model = SKLearnModel("m", str(tmp_path))
    assert model.load()
    assert model.predict(ROWS)["predictions"].tolist() == [1, 1]


def test_probabilities_where_asked_for(folder, monkeypatch):
    joblib.dump(LogisticRegression(max_iter=500).fit(X, Y), folder / "model.joblib")
    monkeypatch.setenv("PREDICT_PROBA", "True")
    model = SKLearnModel("m", str(folder))
    model.load()
    assert model.predict(ROWS)["predictions"].shape == (2, 3)


def test_labels_that_are_text_come_as_bytes_tensor(tmp_path):
    labels = np.array(["a", "b", "c"])[Y]
    joblib.dump(LogisticRegression(max_iter=500).fit(X, labels), tmp_path / "m.pkl")
    model = SKLearnModel("m", str(tmp_path))
    model.load()
    request = InferRequest("m", [InferInput("i", [1, 4], "FP32", [5.1, 3.5, 1.4, 0.2])])
    output = model.predict(request).outputs[0]
    assert (output.name, output.datatype, output.shape, output.data) == (
        "output-0",
        "BYTES",
        [1],
        ["a"],
    )


def test_no_model_file_names_what_there_is(tmp_path):
    (tmp_path / "model.bst").write_bytes(b"x")
    told = failure(tmp_path)
    assert told.reason == "ModelMissing"
    assert '"model.bst"' in told.message
    assert ".joblib, .pkl, .pickle" in told.message


def test_a_folder_that_is_not_there(tmp_path):
    assert failure(tmp_path / "gone").reason == "ModelMissing"


def test_two_model_files_are_both_named(folder):
    (folder / "other.pkl").write_bytes(b"x")
    told = failure(folder)
    assert told.reason == "ModelAmbiguous"
    assert '"model.joblib", "other.pkl"' in told.message
    assert told.message.startswith("More than one model file is detected, Only one is allowed")


@pytest.mark.parametrize(
    "content", [b"", b"not a pickle", b"\x80\x04", b"\x1f\x8bbroken", b"<html>"]
)
def test_a_file_that_is_no_model(tmp_path, content):
    (tmp_path / "m.pkl").write_bytes(content)
    assert failure(tmp_path).reason == "ModelCorrupt"


def test_a_truncated_model(folder):
    blob = (folder / "model.joblib").read_bytes()
    (folder / "model.joblib").write_bytes(blob[: len(blob) // 2])
    assert failure(folder).reason == "ModelCorrupt"


class Own:
    """A class that only its author knows."""

    def predict(self, rows):
        return rows


class Gone:
    """A class whose module is not there when it is loaded."""

    def __reduce__(self):
        return (os.getcwd, ())


def test_a_foreign_class_is_refused_by_name_with_the_mend(tmp_path):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Gone()))
    told = failure(tmp_path)
    assert told.reason == "ModelUntrusted"
    assert '"posix.getcwd"' in told.message
    assert "serving.sampan.dev/trust" in told.message


def test_trust_loads_what_the_list_refuses(tmp_path):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Gone()))
    assert (
        failure(tmp_path, trust=True).reason == "ModelIncompatible"
    )  # a str, which cannot predict


def test_the_operator_may_allow_a_name(tmp_path):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Gone()))
    assert failure(tmp_path, allowed=frozenset({"posix:getcwd"})).reason == "ModelIncompatible"


def test_something_that_cannot_predict(tmp_path):
    joblib.dump(StandardScaler().fit(X), tmp_path / "m.joblib")
    told = failure(tmp_path)
    assert (told.reason, '"StandardScaler"' in told.message) == ("ModelIncompatible", True)


def saved_by(version, value):
    """Return a pickle of the value as another scikit-learn would have saved it."""
    blob = pickle.dumps(value)
    mine = sklearn.__version__.encode()
    return blob.replace(
        b"\x8c" + bytes([len(mine)]) + mine, b"\x8c" + bytes([len(version)]) + version
    )


def test_another_version_is_served_with_a_warning_of_both(tmp_path, caplog):
    (tmp_path / "m.pkl").write_bytes(saved_by(b"1.4.2", SVC().fit(X, Y)))
    with caplog.at_level(logging.WARNING):
        assert SKLearnModel("m", str(tmp_path)).load()
    assert "saved with scikit-learn 1.4.2" in caplog.text
    assert sklearn.__version__ in caplog.text
    assert 'set runtimeVersion to "1.4.2"' in caplog.text


def test_a_version_that_cannot_be_read_names_the_one_that_can(tmp_path):
    blob = saved_by(b"0.20.3", SVC().fit(X, Y))
    name = b"\x8c\x14sklearn.svm._classes"
    assert name in blob
    blob = blob.replace(b"\x8c\x03SVC", b"\x8c\x03SVX")
    (tmp_path / "m.pkl").write_bytes(blob)
    told = failure(tmp_path, allowed=frozenset({"sklearn.svm._classes:SVX"}))
    assert told.reason == "ModelIncompatible"
    assert "0.20.3" in told.message
    assert sklearn.__version__ in told.message
    assert 'runtimeVersion: "0.20.3"' in told.message


@pytest.mark.slow
def test_every_estimator_of_scikit_learn_loads_without_trust():
    place = Path(__file__).with_name("measure_pickle_names.py")
    spec = importlib.util.spec_from_file_location("measure_pickle_names", place)
    measure = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measure)
    allowed = parse_names(
        (Path(sampan.runtimes.__file__).parent / "sklearn_allowed.txt").read_text()
    )
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _, estimator in measure.fitted_estimators():
            for blob in measure.blobs_of(estimator):
                load_restricted(io.BytesIO(blob), allowed)
            count += 1
    assert count > 250
