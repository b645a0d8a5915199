"""The command line, called in this process and as a process, beside one Sampan for all tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMAND = str(Path(sys.executable).parent / "sampan")


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard error, without the word that begins them."""
        return self.err.removeprefix("error: ").splitlines()


def environment(home: Path) -> dict[str, str]:
    return {
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "KUBECONFIG": str(home / "kubeconfig"),
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """The folders of a Sampan that is up."""
    folder = Path(tempfile.mkdtemp(prefix="sampan-cli-"))  # the path of a socket must be short
    env = {**os.environ, **environment(folder)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    subprocess.run([COMMAND, "up", "--port", str(port)], env=env, check=True, capture_output=True)
    yield folder
    subprocess.run([COMMAND, "down"], env=env, check=True, capture_output=True)
    shutil.rmtree(folder)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders where no Sampan runs."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with the Sampan that is up at hand."""
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Call the command line in this process."""
    from sampan.cli.main import main

    def call(*args: str) -> Done:
        code: Any = 0
        try:
            main(args)
        except SystemExit as ended:
            code = ended.code or 0
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the command as a process, with standard input and changed variables."""

    def run(*args: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [COMMAND, *args],
            input=stdin,
            env={**os.environ, **env},
            capture_output=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def iris(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a service that is Ready."""
    import joblib
    from sklearn import datasets, svm

    folder = tmp_path_factory.mktemp("iris")
    data = datasets.load_iris()
    joblib.dump(svm.SVC(gamma="scale").fit(data.data, data.target), folder / "model.joblib")
    text = f"""
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: iris}}
spec: {{predictor: {{model: {{modelFormat: {{name: sklearn}}, storageUri: {folder}}}}}}}
"""
    env = {**os.environ, **environment(home)}
    subprocess.run(
        [COMMAND, "apply", "-f", "-"], input=text.encode(), env=env, check=True, capture_output=True
    )
    limit = time.monotonic() + 60
    while subprocess.run(
        [COMMAND, "why", "iris"], env=env, check=False, capture_output=True
    ).returncode:
        assert time.monotonic() < limit, "iris is not Ready"
        time.sleep(0.2)
    return "iris"
