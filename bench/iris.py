"""The model that both sides serve: the support vector classifier of KServe's first tutorial."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench.ask import Ask
from bench.setting import Setting

ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
BODY = json.dumps({"instances": ROWS}).encode()
ANSWER = {"predictions": [1, 1]}
_TENSOR = {"name": "input-0", "shape": [2, 4], "datatype": "FP64", "data": [*ROWS[0], *ROWS[1]]}

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


def check_v2(answer: bytes) -> None:
    """Raise when a V2 answer is wrong."""
    data = json.loads(answer)["outputs"][0]["data"]
    if data != ANSWER["predictions"]:
        raise RuntimeError(f"wrong prediction {answer[:200]!r}; expected the data [1, 1]")


V1 = Ask("/v1/models/iris:predict", BODY, check=check)
V2 = Ask("/v2/models/iris/infer", json.dumps({"inputs": [_TENSOR]}).encode(), check=check_v2)
