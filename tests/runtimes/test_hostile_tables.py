"""Artefacts of the tabular formats that would like to run something, or to read another file."""

from __future__ import annotations

import json
import pickle
import subprocess
import zipfile
from pathlib import Path

import joblib
import pytest
import skops.io
import yaml
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

from sampan.runtimes.lightgbm import LightGBMModel
from sampan.runtimes.mlflow import MLflowModel
from sampan.runtimes.pmml import PMMLModel
from sampan.runtimes.sklearn import SKLearnModel
from sampan.runtimes.xgboost import XGBoostModel
from sampan.server.load_failure import LoadFailure

X, Y = load_iris(return_X_y=True)


class Marker:
    """Unpickled, makes a file: what a hostile model would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (subprocess.check_call, (["touch", str(self.path)],))


def put(folder: Path, **changes: object) -> dict:
    """Write an MLmodel, changed; return it."""
    document = {
        "mlflow_version": "3.1.0",
        "flavors": {
            "python_function": {
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
            },
            "sklearn": {"pickled_model": "model.pkl", "sklearn_version": "1.9.1"},
        },
    }
    document["flavors"]["python_function"] |= changes
    if "model_path" in changes:
        document["flavors"]["sklearn"]["pickled_model"] = changes["model_path"]
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    return document


def hostile_pickle(folder: Path, made: Path) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps(Marker(made)))


def hostile_joblib(folder: Path, made: Path) -> None:
    joblib.dump({"estimator": Marker(made)}, folder / "model.joblib")


def hostile_skops(folder: Path, made: Path) -> None:
    """A skops file whose root is a function of the standard library."""
    skops.io.dump(SVC().fit(X, Y), folder / "good.skops")
    with (
        zipfile.ZipFile(folder / "good.skops") as good,
        zipfile.ZipFile(folder / "model.skops", "w") as archive,
    ):
        schema = json.loads(good.read("schema.json"))
        schema |= {"__class__": "check_call", "__module__": "subprocess"}
        for name in good.namelist():
            hostile = json.dumps(schema).encode()
            archive.writestr(name, hostile if name == "schema.json" else good.read(name))
    (folder / "good.skops").unlink()


def mlflow_with_a_pickle(folder: Path, made: Path) -> None:
    put(folder)
    hostile_pickle(folder, made)


def mlflow_with_a_loader_of_its_own(folder: Path, made: Path) -> None:
    put(folder, loader_module="evil", code="code")
    (folder / "code").mkdir()
    (folder / "code" / "evil.py").write_text(f"open({str(made)!r}, 'w')")


def mlflow_with_a_python_model(folder: Path, made: Path) -> None:
    put(folder, loader_module="mlflow.pyfunc.model", python_model="python_model.pkl")
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Marker(made)))


def mlflow_that_points_elsewhere(folder: Path, made: Path) -> None:
    joblib.dump(SVC().fit(X, Y), folder.parent / "secret.pkl")
    put(folder, model_path="../secret.pkl")


def mlflow_that_links_elsewhere(folder: Path, made: Path) -> None:
    joblib.dump(SVC().fit(X, Y), folder.parent / "secret.pkl")
    (folder / "model.pkl").symlink_to(folder.parent / "secret.pkl")
    put(folder)


def mlflow_with_python_in_yaml(folder: Path, made: Path) -> None:
    (folder / "MLmodel").write_text(f"!!python/object/apply:os.system ['touch {made}']")


def mlflow_with_a_private_method(folder: Path, made: Path) -> None:
    joblib.dump(RandomForestClassifier(2).fit(X, Y), folder / "model.pkl")
    put(folder, predict_fn="__reduce__")


def pmml_with_an_entity(folder: Path, made: Path) -> None:
    (folder / "model.pmml").write_text(
        '<!DOCTYPE PMML [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        '<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header copyright="&x;"/></PMML>'
    )


def pmml_in_another_encoding(folder: Path, made: Path) -> None:
    text = (
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE PMML SYSTEM "file:///etc/passwd"><PMML/>'
    )
    (folder / "model.pmml").write_bytes(text.encode("utf-16"))


def booster_that_is_a_pickle(folder: Path, made: Path) -> None:
    (folder / "model.bst").write_bytes(pickle.dumps(Marker(made)))


CORPUS = [
    (SKLearnModel, hostile_pickle, "ModelUntrusted", "subprocess.check_call"),
    (SKLearnModel, hostile_joblib, "ModelUntrusted", "subprocess.check_call"),
    (SKLearnModel, hostile_skops, "ModelUntrusted", "subprocess.check_call"),
    (MLflowModel, mlflow_with_a_pickle, "ModelUntrusted", "subprocess.check_call"),
    (MLflowModel, mlflow_with_a_loader_of_its_own, "ModelUntrusted", '"evil"'),
    (MLflowModel, mlflow_with_a_python_model, "ModelUntrusted", '"mlflow.pyfunc.model"'),
    (MLflowModel, mlflow_that_points_elsewhere, "ModelUntrusted", '"../secret.pkl"'),
    (MLflowModel, mlflow_that_links_elsewhere, "ModelUntrusted", "outside the model folder"),
    (MLflowModel, mlflow_with_python_in_yaml, "ModelCorrupt", "no YAML"),
    (MLflowModel, mlflow_with_a_private_method, "ModelIncompatible", '"__reduce__"'),
    (PMMLModel, pmml_with_an_entity, "ModelUntrusted", "document type"),
    (PMMLModel, pmml_in_another_encoding, "ModelUntrusted", "UTF-8"),
    (XGBoostModel, booster_that_is_a_pickle, "ModelCorrupt", "model.bst"),
    (LightGBMModel, booster_that_is_a_pickle, "ModelCorrupt", "model.bst"),
]


@pytest.mark.parametrize(
    ("kind", "write", "reason", "said"),
    CORPUS,
    ids=[f"{kind.__name__}: {write.__name__}" for kind, write, *_ in CORPUS],
)
def test_a_hostile_artefact_is_refused_and_nothing_of_it_runs(kind, write, reason, said, tmp_path):
    folder, made = tmp_path / "model", tmp_path / "made"
    folder.mkdir()
    write(folder, made)
    with pytest.raises(LoadFailure) as caught:
        kind("m", str(folder)).load()
    assert (caught.value.reason, said in caught.value.message) == (reason, True), caught.value
    assert not made.exists()
