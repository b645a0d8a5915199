"""The model that both sides serve: the support vector classifier of KServe's first tutorial."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench.setting import Setting

BODY = json.dumps({"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}).encode()
ANSWER = {"predictions": [1, 1]}

_TRAIN = """
import sys, joblib
from sklearn import datasets, svm
iris = datasets.load_iris()
joblib.dump(svm.SVC(gamma="scale").fit(iris.data, iris.target), sys.argv[1])
"""


def model_folder(setting: Setting) -> Path:
    """Return a folder with `model.joblib`, trained once."""
    folder = setting.cache / "iris"
    folder.mkdir(exist_ok=True)
    if not (folder / "model.joblib").exists():
        fresh = folder / "model.new"
        subprocess.run([setting.python, "-c", _TRAIN, str(fresh)], check=True)
        fresh.replace(folder / "model.joblib")
    return folder


def make_service(name: str, model: Path) -> dict:
    """Return the InferenceService that serves it."""
    predictor = {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": f"file://{model}"}}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"predictor": predictor},
    }


def check(answer: bytes) -> None:
    """Raise when a server was fast but wrong."""
    if json.loads(answer) != ANSWER:
        raise RuntimeError(f"wrong prediction {answer[:200]!r}; expected {ANSWER}")
