"""`sampan migrate check` and `sampan install --handover`, as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sampan.cli.main import main

SERVICE = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: iris, namespace: ml, uid: "1"}
spec:
  predictor:
    model: {modelFormat: {name: sklearn}, storageUri: gs://models/iris}
---
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterServingRuntime
metadata: {name: own}
spec:
  supportedModelFormats: [{name: sklearn, version: "1", autoSelect: true}]
  containers: [{name: kserve-container, image: mine}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: inferenceservice-config, namespace: kserve}
data:
  deploy: '{"defaultDeploymentMode": "Standard"}'
"""


def call(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


def test_files_are_looked_at_and_what_would_be_made_is_an_exit_code(tmp_path: Path, capsys):
    (tmp_path / "all.yaml").write_text(SERVICE)
    assert call("migrate", "check", "-f", str(tmp_path / "all.yaml")) == 1
    text = capsys.readouterr().out
    assert "InferenceService ml/iris: 0 of" in text
    assert "Deployment iris-predictor: created" in text
    assert "0 workloads would start their pods anew" in text


def test_programs_get_json(tmp_path: Path, capsys):
    (tmp_path / "all.yaml").write_text(SERVICE)
    assert call("migrate", "check", "-f", str(tmp_path / "all.yaml"), "-o", "json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["clean"], told["restarts"]) == (False, 0)
    assert {child["state"] for child in told["owners"][0]["children"]} == {"created"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["migrate", "over"], '"over" is nothing to do here', id="another action"),
        pytest.param(["migrate", "check", "-o", "xml"], '-o "xml"', id="another form"),
        pytest.param(
            ["migrate", "check", "--kubeconfig", "/none"], '"/none"', id="no kubeconfig there"
        ),
        pytest.param(["install", "--handover", "me"], '--handover "me"', id="to nobody known"),
        pytest.param(["install", "--dry-run"], "go with --handover", id="nothing is handed over"),
        pytest.param(
            ["install", "--handover", "kserve", "--kubeconfig", "/none"],
            '"/none"',
            id="no cluster to hand over",
        ),
    ],
)
def test_what_cannot_be_done_is_told_by_its_value(arguments, told, capsys):
    assert call(*arguments) == 2
    assert told in capsys.readouterr().err
