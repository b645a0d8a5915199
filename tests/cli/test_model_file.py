"""`sampan run MODEL`: a model in the place of a YAML file."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import pytest
import yaml
from sklearn.dummy import DummyClassifier

SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: flowers
spec:
  predictor:
    model:
      modelFormat:
        name: sklearn
      storageUri: {place}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "flowers.joblib"
    joblib.dump(DummyClassifier(strategy="constant", constant=7).fit([[0.0]], [7]), path)
    return path


def test_the_service_is_printed_and_the_reason_told(cli, model):
    done = cli("run", str(model), "-o", "yaml")
    assert done.code == 0
    assert done.out == SERVICE.format(place=f"file://{model}")
    assert f'"{model}" is a model of format sklearn: a pickle that names "sklearn.' in done.err


def test_its_name_can_be_given(cli, model):
    done = cli("run", str(model), "-o", "yaml", "--name", "other")
    assert yaml.safe_load(done.out)["metadata"]["name"] == "other"


def test_objects_are_printed_too(cli, tmp_path):
    file = tmp_path / "isvc.yaml"
    file.write_text(SERVICE.format(place="./model"))
    done = cli("run", str(file), "-o", "yaml")
    assert yaml.safe_load(done.out)["spec"]["predictor"]["model"]["storageUri"] == str(
        tmp_path / "model"
    )


def test_a_folder_with_objects_is_objects_whatever_lies_beside(cli, model):
    (model.parent / "isvc.yaml").write_text(SERVICE.format(place="./flowers.joblib"))
    done = cli("run", str(model.parent), "-o", "yaml")
    assert yaml.safe_load(done.out)["metadata"]["name"] == "flowers"
    assert "is a model of format" not in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["x.txt", "-o", "yaml"], 1, "is no model of a format that is known by its content"),
        (["isvc.yaml", "--name", "n", "-o", "yaml"], 1, "--name is for a model"),
        (["x.txt", "-o", "json"], 2, 'output "json" is not known; use yaml'),
        (["none", "-o", "yaml"], 1, 'the path "none" does not exist'),
    ],
)
def test_mistakes_are_told(cli, tmp_path, monkeypatch, words, code, said):
    (tmp_path / "x.txt").write_text("hello")
    (tmp_path / "isvc.yaml").write_text(SERVICE.format(place="./model"))
    monkeypatch.chdir(tmp_path)
    done = cli("run", *words)
    assert (done.code, said in done.err) == (code, True), done.err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_model_is_served_without_a_line_of_yaml(model, tmp_path):
    assert serve_and_ask(model, [[1.0]], tmp_path) == {"predictions": [7]}


OWN_CLASS = """
import httpx
import sortedcontainers
from sampan.sdk import Model


class Sorts(Model):
    def predict(self, payload, headers=None):
        return {"predictions": list(sortedcontainers.SortedList(payload["instances"]))}
"""
OWN_PROGRAM = """
from kserve import Model, ModelServer


class Doubles(Model):
    def predict(self, payload, headers=None):
        return {"predictions": [2 * number for number in payload["instances"]]}


if __name__ == "__main__":
    model = Doubles("own")
    model.load()
    ModelServer().start([model])
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("text", "answer"),
    [
        pytest.param(OWN_CLASS, [1, 2, 3], id="a class, with the packages that it asks for"),
        pytest.param(OWN_PROGRAM, [6, 2, 4], id="a program that starts its own server"),
    ],
)
def test_python_of_ones_own_is_served_without_a_line_of_yaml(text, answer, tmp_path):
    (tmp_path / "own.py").write_text(text)
    (tmp_path / "requirements.txt").write_text("sortedcontainers>=2.4\n")
    assert serve_and_ask(tmp_path / "own.py", [3, 1, 2], tmp_path) == {"predictions": answer}


def serve_and_ask(model: Path, instances: object, folder: Path) -> object:
    """Return what `sampan run` prints as the answer of a model."""
    request = folder / "request.json"
    request.write_text(json.dumps({"instances": instances}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "sampan"), "run", str(model), "--input"]
    home = Path(tempfile.mkdtemp(prefix="sampan-cli-"))  # the path of a socket must be short
    done = subprocess.run(
        [*command, str(request), "--exit-after-input", "--port", str(port)],
        env={**os.environ, "XDG_STATE_HOME": str(home), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    answer = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    return json.loads(answer)
