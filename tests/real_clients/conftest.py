"""A real server process, and clients of others that ask it, each as it is published.

A client that is not among the development dependencies gets an environment of its own, built once
by uv in the cache folder that the benchmarks use.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
ECHO = """
from sampan.sdk import InferOutput, InferRequest, InferResponse, Model


class Echo(Model):
    def predict(self, payload, headers=None):
        if not isinstance(payload, InferRequest):
            return {"predictions": payload["instances"]}
        outputs = []
        for tensor in payload.inputs:
            output = InferOutput(tensor.name, tensor.shape, tensor.datatype)
            output.set_data_from_numpy(tensor.as_numpy())
            outputs.append(output)
        return InferResponse(
            payload.id,
            self.name,
            outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )
"""
IRIS = """
from sampan.runtimes.sklearn import SKLearnModel


class Iris(SKLearnModel):
    def __init__(self, name):
        super().__init__(name, {folder!r})
"""


@dataclass(frozen=True)
class Served:
    """Where the models "sklearn-iris" and "echo" are served: one port for HTTP and gRPC."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/models/sklearn-iris/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve both models until all tests are done."""
    folder = tmp_path_factory.mktemp("served")
    joblib.dump(SVC(gamma="scale").fit(*load_iris(return_X_y=True)), folder / "model.joblib")
    (folder / "models.py").write_text(ECHO + IRIS.format(folder=str(folder)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [f"sklearn-iris={folder / 'models.py'}:Iris", f"echo={folder / 'models.py'}:Echo"]
    log = folder / "server.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "sampan.app.serve", *words, f"--http_port={port}",
             "--grpc_port=0"],
            stderr=written,
        )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not _is_ready(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield Served(port)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def curl() -> Callable[..., str]:
    """`curl(*words)` runs curl, quietly, and returns what it prints; it must succeed."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")

    def run(*words: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            [program, "-sS", "--max-time", "20", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def ask_with(tmp_path: Path) -> Callable[..., Any]:
    """`ask_with(python, program, *arguments)` runs a program; it prints JSON as its last line."""

    def ask(python: str, program: str, *arguments: str) -> Any:
        done = subprocess.run(
            [python, "-c", program, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return ask
