"""Projects like those of MLServer's documentation, unchanged: answers as of `mlserver start`."""

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
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

for package in ("mlserver", "mlserver_sklearn", "mlserver_xgboost", "mlserver_lightgbm"):
    pytest.importorskip(package, reason=f"{package} is not installed: make test-engines")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    examples: Any = import_module("tests.engines.mlserver_examples")

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]
_PATIENCE = 600.0
REQUESTS = [pytest.param(*asked, id=name) for name, asked in examples.REQUESTS.items()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


THEIR_GRPC = free_port()


@contextmanager
def running(command: list[str], url: str, log: Path, **environ: str) -> Iterator[str]:
    """Run a server until the block ends; give its address once all models are ready."""
    with log.open("w") as told:
        process = subprocess.Popen(
            command, env={**os.environ, **environ}, stdout=told, stderr=told, cwd=log.parent
        )
        try:
            deadline = time.monotonic() + _PATIENCE
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                try:
                    if httpx.get(f"{url}/v2/health/ready", timeout=10).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.2)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the project by Sampan."""
    root = tmp_path_factory.mktemp("mine")
    project = examples.save_project(root / "project")
    port = free_port()
    command = [
        sys.executable, "-m", "sampan.app.serve", "--runtime=mlserver", "--trust", "--grpc_port=0",
        f"--http_port={port}", "mlserver", "start", str(project),
    ]  # fmt: skip
    with running(command, f"http://127.0.0.1:{port}", root / "log") as url:
        yield url


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the same project by `mlserver start`, in one process: it streams in that alone."""
    root = tmp_path_factory.mktemp("theirs")
    project = examples.save_project(root / "project")
    http = free_port()
    settings = {
        "http_port": http, "grpc_port": THEIR_GRPC, "metrics_port": free_port(),
        "host": "127.0.0.1", "parallel_workers": 0, "gzip_enabled": False,
    }  # fmt: skip
    (project / "settings.json").write_text(json.dumps(settings))
    command = [str(Path(sys.executable).with_name("mlserver")), "start", str(project)]
    with running(command, f"http://127.0.0.1:{http}", root / "log") as url:
        yield url


def both(mine: str, theirs: str, path: str, body: Any) -> list[httpx.Response]:
    return [httpx.post(f"{url}{path}", json=body, timeout=60) for url in (mine, theirs)]


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without ids, and without content types, which tell of a codec.

    A null says what is left out.
    """
    left_out = {"parameters", "id"}
    outputs = [{k: v for k, v in o.items() if k not in left_out} for o in answer["outputs"]]
    kept = {k: v for k, v in answer.items() if k not in left_out and v is not None}
    return {**kept, "outputs": outputs}


@pytest.mark.parametrize(("name", "body"), REQUESTS)
def test_an_answer_equals_mlservers(name, body, mine, theirs):
    got, wanted = both(mine, theirs, f"/v2/models/{name}/infer", body)
    assert wanted.status_code == 200, wanted.text
    assert got.status_code == 200, got.text
    a, b = plain(got.json()), plain(wanted.json())
    for one, other in zip(a["outputs"], b["outputs"], strict=True):
        if one["datatype"].startswith("FP"):
            assert one.pop("data") == pytest.approx(other.pop("data"))
    assert a == b


def test_models_are_told_of_by_their_names(mine, theirs):
    for name in ("iris-sklearn", "echo-json", "tensors"):
        a, b = (httpx.get(f"{url}/v2/models/{name}", timeout=60).json() for url in (mine, theirs))
        assert a["name"] == b["name"] == name
        assert set(a) <= set(b)


def test_a_stream_comes_in_the_same_events(mine, theirs):
    body = examples.asked(examples.tensor("text", ["one two three"], "BYTES"))
    for path in ("infer_stream", "generate_stream"):
        got, wanted = both(mine, theirs, f"/v2/models/words/{path}", body)
        assert wanted.status_code == 200, wanted.text
        assert got.headers["content-type"].startswith("text/event-stream")
        said = [
            [json.loads(line.removeprefix("data: "))["outputs"][0]["data"]
             for line in answer.text.splitlines() if line]
            for answer in (got, wanted)
        ]  # fmt: skip
        assert said[0] == said[1] == [["one"], ["two"], ["three"]]


def test_a_model_that_does_not_stream_says_where_it_is_asked(mine):
    body = examples.asked(examples.tensor("x", [[1.0, 2.0, 3.0, 4.0]], "FP64"))
    answer = httpx.post(f"{mine}/v2/models/iris-sklearn/infer_stream", json=body, timeout=60)
    assert (answer.status_code, "does not stream" in answer.text) == (400, True)


def test_metrics_of_a_model_are_told(mine):
    httpx.post(f"{mine}/v2/models/measured/infer", json=examples.asked(
        examples.tensor("x", [1.0], "FP64")), timeout=60)  # fmt: skip
    assert 'asked_count{model_name="measured"' in httpx.get(f"{mine}/metrics", timeout=60).text


def port_of(url: str) -> int:
    """Return the port of a server of ours: gRPC is at the same as REST."""
    return int(url.rpartition(":")[2])


def stream_by_grpc(port: int, *models: str) -> list[Any]:
    """Ask models by one stream of mlserver's own stubs; return what each answer holds."""
    grpc = import_module("grpc")
    stubs = import_module("mlserver.grpc.dataplane_pb2_grpc")
    types = import_module("mlserver.grpc.dataplane_pb2")
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES",
              "contents": {"bytes_contents": [b"a b c"]}}  # fmt: skip
    requests = [types.ModelInferRequest(model_name=name, inputs=[tensor]) for name in models]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = stubs.GRPCInferenceServiceStub(channel)
        answers = stub.ModelStreamInfer(iter(requests), timeout=60)
        return [list(output.contents.bytes_contents) for one in answers for output in one.outputs]


def test_mlservers_own_stubs_stream_over_grpc(mine, theirs):
    got = stream_by_grpc(port_of(mine), "words")
    assert got == [[b"a"], [b"b"], [b"c"]]
    assert got == stream_by_grpc(THEIR_GRPC, "words")
    assert stream_by_grpc(port_of(mine), "words", "words") == [*got, *got]


def test_an_error_ends_a_stream_over_grpc(mine):
    grpc = import_module("grpc")
    with pytest.raises(grpc.RpcError) as caught:
        stream_by_grpc(port_of(mine), "nobody")
    assert caught.value.code().name == "NOT_FOUND"
