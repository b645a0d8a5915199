"""Transformers that ask a store: Feast's local online store, LanceDB's files. Both are real."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.examples.test_examples import EXAMPLES, free_port

REPOSITORY = EXAMPLES.parent
UV = str(Path(sys.executable).parent / "uv")
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get("SAMPAN_TEST_STORES"),
        reason="Feast and LanceDB are 800 MB: make test-engines",
    ),
]


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder of an environment with Sampan and both stores, kept between runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "sampan" / "engines" / "stores"
    if not (folder / "bin" / "python").exists():
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--python", python, "--editable",
         f"{REPOSITORY}[server,sklearn]", "feast>=0.60", "lancedb>=0.30"],
        check=True,
    )  # fmt: skip
    return folder / "bin"


def answers(programs: Path, work: Path, home: Path, request: str) -> str:
    """Serve an example in its folder, send a request, and return all that was said."""
    (work / "asked.json").write_text(request)
    words = ["run", "isvc.yaml", "--input", "asked.json", "--exit-after-input"]
    environ = {"PATH": f"{programs}:{os.environ['PATH']}", "XDG_STATE_HOME": str(home)}
    done = subprocess.run(
        [str(programs / "sampan"), *words, "--port", str(free_port())], cwd=work,
        env={**os.environ, **environ, "NO_COLOR": "1"}, capture_output=True, text=True,
        timeout=400, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def made(programs: Path, name: str, tmp_path: Path) -> Path:
    work = tmp_path / name
    shutil.copytree(EXAMPLES / name, work, ignore=shutil.ignore_patterns("model"))
    words = [str(programs / "python"), "-W", "ignore", "train.py"]
    subprocess.run(words, cwd=work, check=True, capture_output=True)
    return work


def read_answer(said: str) -> list[object]:
    line = next((line for line in said.splitlines() if line.startswith("{")), "")
    assert line, said
    return list(json.loads(line)["predictions"])


def test_what_a_model_must_know_of_a_driver_comes_from_the_feature_store(programs, tmp_path):
    work = made(programs, "35-feature-store", tmp_path)
    said = answers(programs, work, tmp_path / "home", (work / "request.json").read_text())
    expected = json.loads((work / "expected.json").read_text())["predictions"]
    assert read_answer(said) == pytest.approx(expected, abs=1e-3)
    said = answers(programs, work, tmp_path / "home", '{"instances": [7]}')
    assert "driver 7 is not in the feature store" in said


def test_the_nearest_images_come_from_the_vector_index(programs, tmp_path):
    work = made(programs, "36-vector-search", tmp_path)
    said = answers(programs, work, tmp_path / "home", (work / "request.json").read_text())
    assert read_answer(said) == json.loads((work / "expected.json").read_text())["predictions"]
