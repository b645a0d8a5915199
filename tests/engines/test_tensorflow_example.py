"""The TensorFlow example as its README says, and KServe's own YAML for it: made, served, asked."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.examples.test_examples import EXAMPLES, answer_as_expected, run_once, trainer

pytest.importorskip("tensorflow", reason="tensorflow is not installed: make test-engines")

EXAMPLE = EXAMPLES / "09-tensorflow"
SHARED = EXAMPLES.parents[1] / "shared"
RUNTIME = SHARED / "upstream" / "kserve-tensorflow-serving.yaml"
SAMPLE = SHARED / "samples" / "inferenceservice-flower-sample-8acc30.yaml"

pytestmark = pytest.mark.timeout(900)  # the platform builds an environment with TensorFlow


def test_the_example_gives_the_expected_answer(tmp_path: Path) -> None:
    answer_as_expected(EXAMPLE, tmp_path)


@pytest.mark.skipif(not SAMPLE.exists(), reason=f"{SAMPLE} is not on this machine")
def test_kserves_own_runtime_and_sample_run_unmodified_but_for_the_place(tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(EXAMPLE, work, ignore=shutil.ignore_patterns("model"))
    subprocess.run(trainer(work / "train.py"), cwd=work, check=True, capture_output=True)
    service = yaml.safe_load(SAMPLE.read_text())
    service["spec"]["predictor"]["model"]["storageUri"] = "./model"
    text = f"{RUNTIME.read_text()}\n---\n{yaml.safe_dump(service)}"
    (work / "isvc.yaml").write_text(text)
    answer = json.loads(run_once(work, tmp_path))
    assert answer == json.loads((EXAMPLE / "expected.json").read_text())
