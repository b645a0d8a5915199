"""Sampan's scikit-learn server with several models, as a process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Self

import joblib
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from tests.agent.agent_process import PATIENCE, wait_for


class ModelServer:
    """`sampan serve` over a folder of models; `port` is where it listens."""

    def __init__(self, models: Path, folder: Path) -> None:
        self._models = models
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        arguments = [
            "--model_dir", str(self._models), "--http_port", "0", "--grpc_port", "0",
            "--multi_model",
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sampan.app.serve", "--runtime", "sklearn", *arguments],
                stdout=log, stderr=log,
            )  # fmt: skip
        found = wait_for(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", self._log.read_text()))
        self.port = int(found[1])
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)

    def train(self, folder: Path) -> Path:
        folder.mkdir()
        x, y = load_iris(return_X_y=True)
        joblib.dump(SVC(gamma="scale").fit(x, y), folder / "model.joblib")
        return folder
