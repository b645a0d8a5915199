"""MLflow's models behind Sampan and behind MLflow's own scoring server: the same answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("mlflow", reason="mlflow is not installed: make test-engines")
pytest.importorskip("fastapi", reason="mlflow's server is not installed: make test-engines")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints
    models: Any = import_module("tests.engines.mlflow_models")
pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

JSON = "application/json"
_PATIENCE = 600.0


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Save a model of each kind."""
    return models.save_all(tmp_path_factory.mktemp("models"))  # type: ignore[no-any-return]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def mine(folders: dict[str, Path], tmp_path_factory) -> Iterator[dict[str, str]]:
    """Serve each model by Sampan: its address."""
    logs = tmp_path_factory.mktemp("logs")
    running: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
    for name, folder in folders.items():
        port = free_port()
        command = [
            sys.executable, "-m", "sampan.app.serve", "--runtime=mlflow", "--trust",
            "--grpc_port=0", "--model_name=m", f"--model_dir={folder}", f"--http_port={port}",
        ]  # fmt: skip
        # Where the classes of the models are found: this file, as it was imported here.
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (logs / name).open("w") as log:
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        running[name] = (f"http://127.0.0.1:{port}", process)
    try:
        for name, (url, process) in running.items():
            wait_until_ready(url, process, logs / name)
        yield {name: url for name, (url, _) in running.items()}
    finally:
        for _, process in running.values():
            process.send_signal(signal.SIGTERM)
        for _, process in running.values():
            process.wait(60)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/v2/health/ready", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


@pytest.fixture(scope="module")
def theirs(folders: dict[str, Path]) -> dict[str, Any]:
    """Make MLflow's application of each model."""
    return {name: models.make_application(folder) for name, folder in folders.items()}


async def ask_both(name: str, mine, theirs, content: bytes, kind: str) -> list[httpx.Response]:
    headers = {"content-type": kind}
    transport = httpx.ASGITransport(app=theirs[name])
    answers = []
    for url, way in ((mine[name], None), ("http://theirs", transport)):
        async with httpx.AsyncClient(base_url=url, transport=way, timeout=60) as client:
            answers.append(await client.post("/invocations", content=content, headers=headers))
    return answers


ROWS = models.IRIS.data.iloc[[0, 60, 120]]
SPLIT = {"dataframe_split": ROWS.to_dict(orient="split")}
TIMES = [{"when": "2026-01-31T12:00:00", "raw": "aGk=", "count": 7},
         {"when": "1999-12-31T00:00:00", "raw": "aGVsbG8=", "count": 2**40}]  # fmt: skip
ALIKE = [
    pytest.param("tree", SPLIT, JSON, id="dataframe_split"),
    pytest.param("tree", {"dataframe_records": ROWS.to_dict(orient="records")}, JSON,
                 id="dataframe_records"),
    pytest.param("tree", {"instances": ROWS.to_dict(orient="records")}, JSON, id="instances"),
    pytest.param("tree", {"inputs": ROWS.to_dict(orient="list")}, JSON, id="inputs"),
    pytest.param("tree", {"inputs": ROWS.to_dict(orient="list")}, f"{JSON}; charset=utf-8",
                 id="a charset"),
    pytest.param("tree", ROWS.to_csv(index=False), "text/csv", id="CSV"),
    pytest.param("scaled", {"dataframe_split": {"columns": ["a"], "data": [[1.5], [2]]}}, JSON,
                 id="the default of a param"),
    pytest.param("scaled", {"inputs": {"a": [1.5, 2.0]}, "params": {"factor": 4.0}}, JSON,
                 id="a param"),
    pytest.param("joined", {"inputs": {"x": [[1, 2], [3, 4]], "y": [5, 6]}}, JSON,
                 id="tensors by name"),
    pytest.param("joined", {"instances": [{"x": [1.5, 2], "y": 5}, {"x": [3, 4], "y": 6}]}, JSON,
                 id="tensors by name, row by row"),
    pytest.param("told", {"dataframe_records": TIMES}, JSON, id="times, bytes, long numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "kind"), ALIKE)
async def test_an_answer_equals_mlflows(name, body, kind, mine, theirs):
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    got, wanted = await ask_both(name, mine, theirs, content, kind)
    assert wanted.status_code == 200, wanted.text
    assert (got.status_code, got.json()) == (200, wanted.json())


REFUSED = [
    pytest.param("tree", b"{", JSON, id="no JSON"),
    pytest.param("tree", b"[1]", JSON, id="a list"),
    pytest.param("tree", b"{}", JSON, id="none of the forms"),
    pytest.param("tree", b'{"inputs": {"a": [1]}}', JSON, id="a column that is missing"),
    pytest.param("tree", b"x", "text/plain", id="another type"),
    pytest.param("tree", b"{}", f"{JSON}; charset=latin-1", id="another charset"),
    pytest.param("tree", b"{}", f"{JSON}; format=pandas-split", id="the format of MLflow 1"),
    pytest.param("scaled", b'{"inputs": {"a": [1]}, "params": {"factor": "hot"}}', JSON,
                 id="a param of another type"),
    pytest.param("scaled", b'{"inputs": {"a": ["x"]}}', JSON, id="a text for a number"),
    pytest.param("joined", b'{"inputs": {"x": [[1, 2]]}}', JSON, id="a tensor that is missing"),
    pytest.param("told", b'{"dataframe_records": [{"when": "soon", "raw": "", "count": 1}]}', JSON,
                 id="no time"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "kind"), REFUSED)
async def test_a_refusal_has_mlflows_status_and_form(name, content, kind, mine, theirs):
    got, wanted = await ask_both(name, mine, theirs, content, kind)
    assert got.status_code == wanted.status_code, (got.text, wanted.text)
    if wanted.headers["content-type"].startswith(JSON):
        assert {"error_code", "message"} <= set(got.json())
    else:
        assert got.headers["content-type"] == wanted.headers["content-type"]


def test_mlflows_client_asks_us(mine):
    host, _, port = mine["scaled"].removeprefix("http://").partition(":")
    client = models.Client(host, int(port))
    client.ping()
    client.wait_server_ready()
    assert client.get_version() == models.VERSION
    frame = models.pd.DataFrame({"a": [1.0, 2.0]})
    assert client.invoke(frame).get_predictions()[0].tolist() == [2.0, 4.0]
    assert client.invoke(frame, {"factor": 3.0}).get_predictions()[0].tolist() == [3.0, 6.0]


def test_v2_takes_params_and_tensors_by_name(mine):
    tensor = {"name": "a", "shape": [2, 1], "datatype": "FP64", "data": [1.0, 2.0]}
    body = {"inputs": [tensor], "parameters": {"content_type": "pd", "factor": 5.0}}
    answer = httpx.post(f"{mine['scaled']}/v2/models/m/infer", json=body, timeout=60).json()
    assert answer["outputs"][0]["data"] == [5.0, 10.0]
    body = {"inputs": [
        {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 2.0]},
        {"name": "y", "shape": [1], "datatype": "INT64", "data": [3]},
    ]}  # fmt: skip
    answer = httpx.post(f"{mine['joined']}/v2/models/m/infer", json=body, timeout=60).json()
    assert answer["outputs"][0]["data"] == [6.0]
