"""Paths in a file are meant from the file's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.cli.files import load_objects

SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: iris}
spec:
  predictor:
    model: {modelFormat: {name: sklearn}, storageUri: ./model}
  transformer:
    containers:
      - image: x/y
        command: [python, ./transformer.py]
        args: [./missing.py, --file=./transformer.py, text]
        env: [{name: STORAGE_URI, value: ./files}, {name: OTHER, value: ./files}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "transformer.py").touch()
    (tmp_path / "isvc.yaml").write_text(SERVICE)
    return tmp_path / "isvc.yaml"


def load(file: Path, **options: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    (one,) = load_objects([str(file)], **options)
    spec = one.obj["spec"]
    return spec["predictor"]["model"], spec["transformer"]["containers"][0]


def test_places_and_files_that_are_there_become_absolute(file):
    model, container = load(file)
    assert model["storageUri"] == str(file.parent / "model")
    assert container["command"] == ["python", str(file.parent / "transformer.py")]
    assert container["env"][0]["value"] == str(file.parent / "files")


def test_what_is_no_file_beside_it_stays_as_it_is_written(file):
    _, container = load(file)
    assert container["args"] == ["./missing.py", "--file=./transformer.py", "text"]
    assert container["env"][1]["value"] == "./files"


def test_for_a_cluster_a_command_s_files_are_the_image_s(file):
    _, container = load(file, words=False)
    assert container["command"] == ["python", "./transformer.py"]


def test_other_kinds_are_left_alone(file):
    other = {**yaml.safe_load(SERVICE), "kind": "ConfigMap"}
    file.write_text(yaml.safe_dump(other))
    assert load_objects([str(file)])[0].obj == other
