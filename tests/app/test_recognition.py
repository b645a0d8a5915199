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
from sampan.app.lint import Text, lint
from sampan.app.lint_effects import LocalEffects
from sampan.app.recognition import FORMATS, Recognised, Unrecognised, make_name, recognise
from sampan.cli.model_file import render_yaml
from sampan.machinery.registry import AdmissionContext
from sampan.plan.build import build_plan
from sampan.plan.observed import NOTHING
from sampan.plan.types import Gateway, Snapshot
from sampan.platforms.local.image_table import read_image_table

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
        path = root / name
        path.parent.mkdir(exist_ok=True)
        booster.save_model(path)
        return path

    return make


def a_lightgbm(root: Path) -> Path:
    settings = {"verbosity": -1, "min_data_in_leaf": 1}
    data = lightgbm.Dataset(np.tile(ROWS, (10, 1)), np.tile(KINDS, 10))
    lightgbm.train(settings, data, 1).save_model(root / "model.bst")
    return root / "model.bst"


def a_lightgbm_text(root: Path) -> Path:
    return a_lightgbm(root).rename(root / "model.txt")


OWN_CLASS = """
from sampan.sdk import Model
class Sums(Model):
    def predict(self, payload, headers=None):
        return {"predictions": [sum(row) for row in payload["instances"]]}
"""
OWN_PROGRAM = """
from kserve import Model, ModelServer
class Sums(Model): pass
if __name__ == "__main__":
    ModelServer(workers=1).start([Sums("sums")])
"""


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
    pytest.param(a_booster("deep/model.bin"), "xgboost", "XGBoost's save_model",
                 id="XGBoost under any ending"),
    pytest.param(a_lightgbm_text, "lightgbm", "LightGBM's text", id="LightGBM as .txt"),
    pytest.param(lambda r: write(r / "m.ort", b"\0\0\0\0ORTM"), "onnx", "ONNX Runtime's own",
                 id="ONNX Runtime's own form"),
    pytest.param(a_folder("d", m_dot_pmml="<PMML version='4.4'/>", notes_dot_txt="of 2024"), "pmml",
                 '"m.pmml" is XML', id="a folder with one model and notes"),
    pytest.param(lambda r: a_joblib(r).parent, "sklearn", '"model.joblib" is a pickle',
                 id="a folder with one joblib"),
    pytest.param(lambda r: an_onnx(r).parent, "onnx", '"net.onnx" is', id="a folder with one ONNX"),
    pytest.param(lambda r: a_folder("p", m_dot_json='{"base_code":{"magic":"pir"}}',
                                    m_dot_pdiparams="x")(r) / "m.json",
                 "paddle", 'JSON with "base_code" of "pir"', id="Paddle's program alone"),
    pytest.param(a_folder("a", predictor_dot_pkl="x", metadata_dot_json="{}",
                          version_dot_txt="1.6.3"), "autogluon", "AutoGluon saves",
                 id="AutoGluon with all that it saves"),
    pytest.param(a_folder("m", MLmodel="flavors:", model_dot_pkl="x", conda_dot_yaml="name: m"),
                 "mlflow", "MLflow's description", id="MLflow with its environment"),
    pytest.param(lambda r: archive(r / "m.pt", **{"m/constants.pkl": "", "m/code/x.py": ""}),
                 "torchscript", "TorchScript", id="TorchScript"),
    pytest.param(lambda r: archive(r / "m.pt2", **{"m/archive_format": "pt2"}), "torchscript",
                 "torch.export", id="a program of torch.export"),
    pytest.param(lambda r: archive(r / "m" / "m.pt", **{"m/constants.pkl": "", "m/code/x.py": ""})
                 .parent, "torchscript", '"m.pt" is', id="a folder with TorchScript"),
    pytest.param(lambda r: write(r / "my_model.py", OWN_CLASS), "python",
                 'Python that has a Model: "Sums"', id="a file with a Model class"),
    pytest.param(lambda r: write(r / "m.py", f"{OWN_CLASS}\nclass Of(Sums): pass"), "python",
                 'Model: "Of"', id="a Model that is made of another of the file"),
    pytest.param(lambda r: write(r / "m.py", "import kserve\nclass M(kserve.Model): pass"),
                 "python", 'Model: "M"', id="a Model by KServe's name"),
    pytest.param(lambda r: write(r / "m.py", OWN_PROGRAM), "python",
                 'starts a ModelServer with a Model: "Sums"', id="a program that starts a server"),
    pytest.param(a_folder("own", model_dot_py=OWN_CLASS, __init___dot_py=""), "python",
                 '"model.py" is Python', id="a Python package"),
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


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_image_table(tmp_path_factory.mktemp("config") / "images.yaml")


@pytest.mark.parametrize(("make", "format_name", "why"), RECOGNISED)
def test_its_yaml_has_no_mistake_and_nothing_without_effect(
    make, format_name, why, tmp_path, images
):
    del format_name, why
    text = render_yaml(list(recognise(make(tmp_path)).objects))
    report = lint([Text("model.yaml", text)], LocalEffects(images), SHIPPED)
    assert report.findings == ()


def test_a_persons_own_model_gets_the_packages_that_lie_beside_it(tmp_path):
    path = write(tmp_path / "sums" / "model.py", OWN_CLASS)
    write(path.parent / "requirements.txt", "--extra-index-url x\npandas>=2  # tables\n")
    (service,) = recognise(path).objects
    assert service["metadata"] == {
        "name": "sums", "annotations": {"serving.sampan.dev/requirements": "pandas>=2"}
    }  # fmt: skip
    (container,) = service["spec"]["predictor"]["containers"]
    assert container["args"] == [f"{path}:Sums", "--model_name=sums", "--http_port=8080"]


def test_of_several_files_the_one_that_is_run_is_told_and_what_comes_with_it(tmp_path):
    write(tmp_path / "own" / "a.py", OWN_CLASS)
    path = write(tmp_path / "own" / "start.py", OWN_PROGRAM)
    write(path.parent / "requirements.txt", "pandas>=2\nhttpx\n")
    found = recognise(path.parent)
    assert found.sign.why == (
        '"start.py" is Python that starts a ModelServer with a Model: "Sums"; '
        "with the packages pandas>=2, httpx"
    )
    (container,) = found.objects[0]["spec"]["predictor"]["containers"]
    assert container["args"][0] == str(path)


def test_a_project_of_python_names_its_packages_in_pyproject(tmp_path):
    path = write(tmp_path / "own" / "model.py", OWN_CLASS)
    write(path.parent / "pyproject.toml", '[project]\ndependencies = ["pandas>=2"]\n')
    (service,) = recognise(path.parent).objects
    annotations = service["metadata"]["annotations"]
    assert annotations == {"serving.sampan.dev/requirements": "pandas>=2"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("requirements.txt", b"caf\xe9\n", "is no text in UTF-8", id="Latin-1"),
        pytest.param("pyproject.toml", b"[project\n", "is no TOML", id="half a table"),
        pytest.param("pyproject.toml", b"[[project]]\n", "no list of packages", id="two projects"),
        pytest.param("pyproject.toml", b'[project]\ndependencies = "pandas"\n',
                     "no list of packages", id="packages as one word"),
    ],
)  # fmt: skip
def test_a_list_of_packages_that_cannot_be_read_is_told_by_its_name(name, content, said, tmp_path):
    path = write(tmp_path / "own" / "model.py", OWN_CLASS)
    (path.parent / name).write_bytes(content)
    with pytest.raises(Unrecognised, match=f"{name}.*{said}"):
        recognise(path)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("-" * 20_000 + "1", id="beyond the parser's memory"),
        pytest.param("a" + ".b" * 50_000, id="beyond its recursion"),
        pytest.param("#" * 2**21, id="beyond what a person writes"),
    ],
)
def test_python_that_no_person_wrote_is_no_model_and_breaks_nothing(source, tmp_path):
    path = write(tmp_path / "own" / "deep.py", OWN_CLASS + source)
    with pytest.raises(Unrecognised, match="is no model of a format"):
        recognise(path)


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
        pytest.param(a_folder("t", **{"model-store__m_dot_mar": ""}),
                     "config.properties into FOLDER/config", id="TorchServe without its config"),
        pytest.param(lambda r: write(r / "m.py", "def add(a, b): return a + b"),
                     "is no model of a format", id="Python without a Model"),
        pytest.param(lambda r: write(r / "m.py", "class Model: pass\nclass Mine(Model): pass"),
                     "is no model of a format", id="a class whose Model is another"),
        pytest.param(lambda r: write(r / "m.py", "def ("), "is no model of a format",
                     id="Python that is none"),
        pytest.param(lambda r: write(r / "m.py", OWN_CLASS + "\nclass B(Model): pass"),
                     "several models (m.py:Sums, m.py:B)", id="a file of two models"),
        pytest.param(a_folder("own", a_dot_py=OWN_CLASS, b_dot_py=OWN_CLASS),
                     "several models (a.py:Sums, b.py:Sums)", id="two files with a model each"),
        pytest.param(a_folder("own", model_dot_py=OWN_CLASS, m_dot_pmml="<PMML/>"),
                     "name the file of one", id="a model class beside a model"),
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
