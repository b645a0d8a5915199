"""A model's file or folder is recognised by its content, with the reason, and gets a service."""

from __future__ import annotations

import gzip
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import onnx
import pytest
import skops.io
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from tests.runtimes import onnx_models

from sampan.api.config import parse_config
from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import CONFIGURATION, shipped_runtimes
from sampan.app.recognition import FORMATS, Recognised, Unrecognised, make_name, recognise
from sampan.machinery.registry import AdmissionContext
from sampan.plan.build import build_plan
from sampan.plan.observed import NOTHING
from sampan.plan.types import Gateway, Snapshot

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.1], [0.2, 0.9]])
KINDS = np.array([0, 1, 1, 0])
SHIPPED = tuple(shipped_runtimes())


def estimator() -> Any:
    return LogisticRegression().fit(ROWS, KINDS)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def archive(path: Path, **files: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as made:
        for name, text in files.items():
            made.writestr(name.replace("__", "/"), text)
    return path


def a_joblib(root: Path) -> Path:
    joblib.dump(estimator(), root / "model.joblib", compress=3)
    return root / "model.joblib"


def a_pickle(root: Path) -> Path:
    return write(root / "m.pkl", pickle.dumps(estimator()))


def a_packed_pickle(root: Path) -> Path:
    return write(root / "m.bin", gzip.compress(pickle.dumps(estimator())))


def a_skops(root: Path) -> Path:
    skops.io.dump(estimator(), root / "m.skops")
    return root / "m.skops"


def a_booster(name: str) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        booster = xgboost.train({"max_depth": 1}, xgboost.DMatrix(ROWS, KINDS), 1)
        booster.save_model(root / name)
        return root / name

    return make


def a_lightgbm(root: Path) -> Path:
    settings = {"verbosity": -1, "min_data_in_leaf": 1}
    data = lightgbm.Dataset(np.tile(ROWS, (10, 1)), np.tile(KINDS, 10))
    lightgbm.train(settings, data, 1).save_model(root / "model.bst")
    return root / "model.bst"


def an_onnx(root: Path) -> Path:
    path = root / "net.onnx"
    onnx.save(onnx_models.add_sub(onnx_models.INT32), path)
    return path


def a_repository(root: Path) -> Path:
    (root / "repository" / "net" / "1").mkdir(parents=True)
    model = onnx_models.add_sub(onnx_models.INT32)
    onnx.save(model, root / "repository" / "net" / "1" / "model.onnx")
    return root / "repository"


def a_folder(name: str, **files: str) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        for file, text in files.items():
            write(root / name / file.replace("__", "/").replace("_dot_", "."), text)
        return root / name

    return make


RECOGNISED = [
    pytest.param(a_joblib, "sklearn", 'a pickle that names "sklearn.', id="joblib"),
    pytest.param(a_pickle, "sklearn", 'a pickle that names "sklearn.', id="a pickle"),
    pytest.param(a_packed_pickle, "sklearn", "a pickle that names", id="a pickle, compressed"),
    pytest.param(a_skops, "sklearn", "skops wrote it", id="skops"),
    pytest.param(a_booster("m.json"), "xgboost", "XGBoost's save_model", id="XGBoost as JSON"),
    pytest.param(a_booster("m.ubj"), "xgboost", "XGBoost's save_model", id="XGBoost as UBJSON"),
    pytest.param(a_booster("m.bst"), "xgboost", "XGBoost's save_model",
                 id="XGBoost under LightGBM's ending"),
    pytest.param(a_lightgbm, "lightgbm", "LightGBM's text", id="LightGBM under XGBoost's ending"),
    pytest.param(lambda r: write(r / "m.cbm", b"CBM1\0\0"), "catboost", "CatBoost's own format",
                 id="CatBoost"),
    pytest.param(lambda r: write(r / "m.pmml", '<?xml version="1.0"?><PMML version="4.4"/>'),
                 "pmml", 'the element "PMML"', id="PMML"),
    pytest.param(an_onnx, "onnx", "ONNX's version of its format", id="ONNX"),
    pytest.param(a_repository, "triton", '"net/1/model.onnx"', id="a Triton repository"),
    pytest.param(a_folder("r", m__config_dot_pbtxt='name: "m"'), "triton", '"m/config.pbtxt"',
                 id="a repository with a configuration"),
    pytest.param(a_folder("m", MLmodel="flavors:"), "mlflow", "MLflow's description", id="MLflow"),
    pytest.param(a_folder("p", **{"model-settings_dot_json": "{}"}), "mlserver",
                 "MLServer's settings", id="a project for MLServer"),
    pytest.param(a_folder("s", saved_model_dot_pb="x"), "tensorflow", "TensorFlow's SavedModel",
                 id="a SavedModel"),
    pytest.param(a_folder("s", **{"3__saved_model_dot_pb": "x"}), "tensorflow",
                 '"3/saved_model.pb", a version', id="versions of a SavedModel"),
    pytest.param(lambda r: archive(r / "m.keras", **{"config.json": "{}", "metadata.json": "{}"}),
                 "tensorflow", "Keras wrote it", id="a Keras file"),
    pytest.param(lambda r: write(r / "m.h5", b"\x89HDF\r\n\x1a\n....model_config"), "tensorflow",
                 'HDF5 with "model_config"', id="a Keras file of the older form"),
    pytest.param(
        a_folder("t", config__config_dot_properties="", **{"model-store__m_dot_mar": ""}),
        "pytorch", '"model-store" and "config/config.properties"', id="TorchServe's folder"),
    pytest.param(a_folder("h", config_dot_json='{"model_type": "bert"}'), "huggingface",
                 "of a transformers model", id="Hugging Face"),
    pytest.param(a_folder("p", m_dot_json='{"base_code":{"magic":"pir"}}', m_dot_pdiparams="x"),
                 "paddle", 'JSON with "base_code" of "pir"', id="Paddle"),
    pytest.param(a_folder("p", m_dot_pdmodel="x", m_dot_pdiparams="x"), "paddle", "older form",
                 id="Paddle's older form"),
    pytest.param(a_folder("a", predictor_dot_pkl="x"), "autogluon", "AutoGluon saves",
                 id="AutoGluon"),
    pytest.param(a_folder("b", bento_dot_yaml="name: b"), "bentoml", "a Bento: a program",
                 id="a Bento"),
    pytest.param(a_folder("b", bentofile_dot_yaml="service: s"), "bentoml", "a project of BentoML",
                 id="a project of BentoML"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "format_name", "why"), RECOGNISED)
def test_a_model_is_recognised_by_its_content(make, format_name, why, tmp_path):
    found = recognise(make(tmp_path))
    assert found.sign.format == format_name
    assert why in found.sign.why


def test_every_format_is_recognised_in_this_test():
    assert {param.values[1] for param in RECOGNISED} == set(FORMATS)


def planned(found: Recognised) -> Any:
    """Return the plan of a recognised model's service, admitted as the API server admits it."""
    data = CONFIGURATION["data"]
    *runtimes, service = found.objects
    placed = {**service, "metadata": {"namespace": "default", **service["metadata"]}}
    resource = REGISTRY.for_object(placed)
    assert resource is not None
    assert resource.admit is not None
    admitted = resource.admit(placed, None, AdmissionContext(data))
    assert not admitted.denied
    config = parse_config(data).config
    own = tuple(
        {**one, "metadata": {**one["metadata"], "namespace": "default"}} for one in runtimes
    )
    return build_plan(Snapshot(admitted.obj, own, SHIPPED, config, Gateway(), NOTHING, 0.0))


@pytest.mark.parametrize(("make", "format_name", "why"), RECOGNISED)
def test_its_service_finds_a_runtime(make, format_name, why, tmp_path):
    del why
    del format_name
    plan = planned(recognise(make(tmp_path)))
    assert plan.blocked is None, plan.blocked


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda r: write(r / "notes.txt", "hello"), "is no model of a format",
                     id="any file"),
        pytest.param(lambda r: write(r / "m.json", json.dumps({"a": 1})), "is no model of a format",
                     id="any JSON"),
        pytest.param(lambda r: write(r / "m.pkl", pickle.dumps({"a": 1})),
                     "is no model of a format", id="a pickle of something else"),
        pytest.param(a_folder("empty", x__y=""), "is no model of a format",
                     id="a folder of nothing"),
        pytest.param(lambda r: archive(r / "m.mar", **{"MAR-INF__MANIFEST.json": "{}"}),
                     "TorchServe serves a folder", id="an archive for TorchServe alone"),
        pytest.param(lambda r: archive(r / "m.pt", m__constants="", **{"m/constants.pkl": "",
                     "m/code/x.py": ""}), "put it into a Triton repository", id="TorchScript"),
        pytest.param(lambda r: archive(r / "m.pt", **{"m/data.pkl": ""}), "it holds weights",
                     id="weights without a program"),
    ],
)  # fmt: skip
def test_what_has_no_service_is_told_with_its_mend(make, said, tmp_path):
    with pytest.raises(Unrecognised) as raised:
        recognise(make(tmp_path))
    assert said in str(raised.value)


def test_several_formats_in_one_folder_are_named(tmp_path):
    a_joblib(tmp_path)
    a_lightgbm(tmp_path)
    with pytest.raises(Unrecognised) as raised:
        recognise(tmp_path)
    assert "sklearn" in str(raised.value)
    assert "lightgbm" in str(raised.value)
    assert "name the file of one" in str(raised.value)


class Runs:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return self.mark.mkdir, ()


def test_nothing_is_unpickled(tmp_path):
    path = write(tmp_path / "m.pkl", pickle.dumps([Runs(tmp_path / "ran"), estimator()]))
    assert recognise(path).sign.format == "sklearn"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Iris_Model.v2.joblib", "iris-model"),
        ("model.joblib", None),
        ("2nd net.onnx", "nd-net"),
        ("---.onnx", "model"),
    ],
)
def test_the_services_name_is_made_of_the_files(path, name, tmp_path):
    folder = tmp_path / "Flowers"
    folder.mkdir()
    assert make_name(write(folder / path, "x")) == (name or "flowers")


@settings(deadline=None)  # a loaded machine is slow, not wrong
@given(st.text(min_size=1, max_size=80).filter(lambda s: "/" not in s and "\0" not in s))
def test_a_name_is_always_one_that_is_admitted(text):
    name = make_name(Path("folder") / text)
    assert 0 < len(name) <= 40
    assert name[0].isalpha()
    assert name[-1].isalnum()
    assert all(c.isascii() and (c.isalnum() or c == "-") and c == c.lower() for c in name)
