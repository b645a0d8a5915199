"""Multi-model mode of every runtime that has it: folders are models, which come and go.

Each row makes a model with its framework, serves a folder of such folders by our server's process,
and loads and unloads over V2 REST and gRPC. Rows of engines that are not installed run where they
are (`make test-engines`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from sampan.runtimes import RUNTIMES, get_runtime

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # of engines, in saving
]

X = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.1], [0.2, 0.9]] * 8)
Y = np.array([0, 1, 1, 0] * 8)
ROWS = [[0.0, 1.0], [1.0, 0.0]]
WIDE = [[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]]
NAMED = [{"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0}]


def make_sklearn(folder: Path) -> None:
    import joblib
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression().fit(X, Y), folder / "model.joblib")


def make_xgboost(folder: Path) -> None:
    import xgboost

    xgboost.train({"max_depth": 1}, xgboost.DMatrix(X, Y), 1).save_model(folder / "model.json")


def make_lightgbm(folder: Path) -> None:
    import lightgbm

    data = lightgbm.Dataset(X, Y, params={"verbosity": -1, "min_data_in_leaf": 1})
    lightgbm.train({"verbosity": -1}, data, 1).save_model(folder / "model.bst")


def make_onnx(folder: Path) -> None:
    from tests.runtimes import onnx_models

    onnx_models.save(onnx_models.linear(), folder / "model.onnx")


def make_project(folder: Path) -> None:
    make_sklearn(folder)
    settings = {"name": folder.name, "implementation": "mlserver_sklearn.SKLearnModel"}
    (folder / "model-settings.json").write_text(json.dumps(settings))


def make_repository(folder: Path) -> None:
    (folder / "1").mkdir()
    make_onnx(folder / "1")


def make_pytorch(folder: Path) -> None:
    import torch

    torch.jit.script(torch.nn.Linear(2, 1)).save(str(folder / "model.pt"))


def make_paddle(folder: Path) -> None:
    import paddle

    spec = paddle.static.InputSpec([None, 2], "float32", "x")
    paddle.jit.save(paddle.nn.Linear(2, 1), str(folder / "model"), input_spec=[spec])


def make_autogluon(folder: Path) -> None:
    import pandas as pd
    from autogluon.tabular import TabularPredictor

    table = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y})
    predictor = TabularPredictor("y", path=str(folder), verbosity=0)
    predictor.fit(table, hyperparameters={"GBM": {"num_boost_round": 5}})


class Row(NamedTuple):
    """A runtime: what must be installed, how a model of it is made, and what it is asked."""

    runtime: str
    engine: str
    make: Callable[[Path], None]
    instances: list[Any] = ROWS
    arguments: tuple[str, ...] = ()


TABLE = (
    Row("sklearn", "sklearn", make_sklearn),
    Row("xgboost", "xgboost", make_xgboost),
    Row("lightgbm", "lightgbm", make_lightgbm),
    Row("predictive", "lightgbm", make_lightgbm, arguments=("--framework=lightgbm",)),
    Row("onnx", "onnx", make_onnx, WIDE),
    Row("mlserver", "sklearn", make_project),
    Row("triton", "onnx", make_repository, WIDE, arguments=("--model-control-mode=explicit",)),
    Row("pytorch", "torch", make_pytorch),
    Row("paddle", "paddle", make_paddle),
    Row("autogluon", "autogluon", make_autogluon, NAMED, ("--trust",)),
)
ELSEWHERE = {
    "catboost": "tests/runtimes/test_tabular_formats.py, in its own environment",
    "pmml": "the same",
    "mlflow": "the same",
    "tensorflow": "tests/engines/test_tensorflow_models.py, by its configuration",
    "torchserve": "tests/engines/test_torchserve.py, by its management API",
    "huggingface": "one model a server, as upstream",
    "bentoml": "one Bento a server",
    "modelmesh": "tests/e2e/test_modelmesh.py, by its register",
}
"""Runtimes without a row, and why."""


class Server(NamedTuple):
    """A server's process, and the port that it speaks REST and gRPC on."""

    process: subprocess.Popen[bytes]
    port: int

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and document of a GET, or of a POST where there is a body."""
        data = None if body is None else json.dumps(body).encode()
        head = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, head)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def until_ready(self) -> None:
        """Wait until it answers that it lives: models come later."""
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                if self.ask("/v2/health/live")[0] == 200:
                    return
            assert self.process.poll() is None, "the server has ended; its log is above"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


@contextlib.contextmanager
def serving(row: Row, folder: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "sampan.app.serve", f"--runtime={row.runtime}"]
    given = [f"--model_dir={folder}", f"--http_port={port}", "--grpc_port=0", *row.arguments]
    server = Server(subprocess.Popen([*command, *given]), port)
    try:
        server.until_ready()
        yield server
    finally:
        server.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(30)
        server.process.kill()
        server.process.wait()


@contextlib.contextmanager
def asking(server: Server) -> Iterator[tuple[Callable[[str], Any], Callable[[str], Any]]]:
    """Yield what loads and unloads over gRPC, where its client is installed; else over REST."""
    if importlib.util.find_spec("tritonclient") is None:
        verbs = ("load", "unload")
        load, unload = (
            lambda name, verb=verb: server.ask(f"/v2/repository/models/{name}/{verb}", {})
            for verb in verbs
        )
        yield load, unload
        return
    from tritonclient.grpc import InferenceServerClient

    with InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        yield client.load_model, client.unload_model


def name_of(row: Row) -> str:
    return row.runtime


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_folders_are_models_that_come_and_go_over_rest_and_grpc(row: Row, tmp_path: Path):
    pytest.importorskip(row.engine, reason=f"{row.engine} is not installed: make test-engines")
    first = tmp_path / "many" / "one"
    first.mkdir(parents=True)
    row.make(first)
    with serving(row, tmp_path / "many") as server:
        come_and_go(server, row, first)


def come_and_go(server: Server, row: Row, first: Path) -> None:
    def predict(name: str) -> tuple[int, Any]:
        return server.ask(f"/v1/models/{name}:predict", {"instances": row.instances})

    def over_rest(name: str, verb: str) -> int:
        return server.ask(f"/v2/repository/models/{name}/{verb}", {})[0]

    assert over_rest("one", "load") == 200  # where it is loaded at the start, loaded anew
    status, answer = predict("one")
    assert (status, len(answer["predictions"])) == (200, len(row.instances)), answer
    assert predict("two")[0] == 404
    copy_model(row, first, first.with_name("two"))
    with asking(server) as (load, unload):
        load("two")
        assert predict("two") == (200, answer)
        unload("two")
        assert predict("two")[0] in {404, 503}
        assert predict("one") == (200, answer)
    assert over_rest("two", "load") == 200
    assert over_rest("one", "unload") == 200
    assert predict("one")[0] in {404, 503}
    assert predict("two") == (200, answer)
    assert over_rest("gone", "load") >= 400


def copy_model(row: Row, source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    if row.runtime == "mlserver":
        settings = {**json.loads((source / "model-settings.json").read_text()), "name": "two"}
        (target / "model-settings.json").write_text(json.dumps(settings))


def test_every_runtime_has_a_row_or_a_place():
    assert {row.runtime for row in TABLE} | set(ELSEWHERE) == set(RUNTIMES)


def test_every_runtime_that_says_so_has_many_models():
    single = {name for name in RUNTIMES if not get_runtime(name).multi_model}
    assert single == {"huggingface", "bentoml", "modelmesh"}
