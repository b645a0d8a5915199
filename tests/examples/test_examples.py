"""Every example runs as its folder says: made, served, asked, with the expected answer."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(p for p in EXAMPLES.iterdir() if p.is_dir())
OF_ENGINES = [
    EXAMPLES / name
    for name in (
        "09-tensorflow", "12-huggingface", "13-vllm", "14-torchserve", "15-pytorch",
        "19-paddle", "29-autogluon", "35-feature-store", "36-vector-search",
    )
]  # fmt: skip  # in tests/engines
PREDICTED = [
    p for p in FOLDERS
    if p not in OF_ENGINES and not (p / "explain.json").exists()  # those: test_explainers.py
]  # fmt: skip
NEEDED = ("README.md", "isvc.yaml", "request.json", "expected.json")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_an_example_has_what_a_reader_needs(folder: Path):
    assert [name for name in NEEDED if not (folder / name).exists()] == []
    text = (folder / "README.md").read_text()
    files = [p.name for p in folder.iterdir() if p.is_file() and p.name != "README.md"]
    assert [name for name in files if name not in text] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("folder", PREDICTED, ids=lambda p: p.name)
def test_an_example_gives_the_expected_answer(folder: Path, tmp_path: Path):
    answer_as_expected(folder, tmp_path)


def answer_as_expected(folder: Path, tmp_path: Path) -> None:
    """Make the example's model, serve it, ask it, and compare."""
    work = tmp_path / folder.name
    shutil.copytree(folder, work, ignore=shutil.ignore_patterns("model"))
    if (work / "train.py").exists():
        subprocess.run(trainer(work / "train.py"), cwd=work, check=True, capture_output=True)
    answer = run_once(work, tmp_path)
    assert json.loads(answer) == json.loads((work / "expected.json").read_text())


def trainer(script: Path) -> list[str]:
    """Return how a script is run: by uv where it says what it needs, else as it is."""
    if script.read_text().startswith("# /// script"):
        return [str(Path(sys.executable).parent / "uv"), "run", "--quiet", script.name]
    return [sys.executable, script.name]


def run_once(work: Path, home: Path) -> str:
    """Serve the example, send its request, and return the answer's line."""
    command = ["run", "isvc.yaml", "--input", "request.json", "--exit-after-input"]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "sampan"), *command, "--port", str(free_port())],
        cwd=work,
        env={
            **os.environ,
            # As in an activated environment: an example's "python" is the one with Sampan in it.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(home / "state"),
            "NO_COLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return next(line for line in done.stdout.splitlines() if line.startswith("{"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
