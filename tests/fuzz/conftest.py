"""A real server process to throw inputs at: the iris classifier and a model that echoes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from tests.fuzz.fuzz_peer import free_port, is_ready
from tests.fuzz.fuzz_run import Target

MODELS = """
from sampan.runtimes.sklearn import SKLearnModel
from sampan.sdk import InferOutput, InferRequest, InferResponse, Model


class Iris(SKLearnModel):
    def __init__(self, name):
        super().__init__(name, {folder!r})


class Echo(Model):
    def predict(self, payload, headers=None):
        if not isinstance(payload, InferRequest):
            return payload
        outputs = []
        for tensor in payload.inputs:
            array = tensor.as_numpy()
            output = InferOutput(tensor.name, list(array.shape), tensor.datatype)
            output.set_data_from_numpy(array)
            outputs.append(output)
        return InferResponse(
            payload.id,
            self.name,
            outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )
"""


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Serve the models "iris" and "echo" until all tests are done."""
    folder = tmp_path_factory.mktemp("fuzz")
    joblib.dump(SVC(gamma="scale").fit(*load_iris(return_X_y=True)), folder / "model.joblib")
    (folder / "models.py").write_text(MODELS.format(folder=str(folder)))
    port = free_port()
    words = [f"{name.lower()}={folder / 'models.py'}:{name}" for name in ("Iris", "Echo")]
    log = folder / "server.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "sampan.app.serve", *words, f"--http_port={port}",
             "--grpc_port=0"],
            stdout=written,
            stderr=written,
        )  # fmt: skip
    try:
        assert is_ready(port, process), log.read_text()[-2000:]
        yield Target(port, process.pid)
        assert process.poll() is None, log.read_text()[-2000:]
        process.terminate()
        assert process.wait(30) == 0, log.read_text()[-2000:]
        assert "Traceback" not in log.read_text(), log.read_text()[-4000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
