"""NVIDIA's own tritonserver, from the package that carries it, beside ours: the same repository,
asked by the same tritonclient.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if find_spec("pytriton") is None:
    pytest.skip("nvidia-pytriton is not installed: make test-engines", allow_module_level=True)

import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from google.protobuf.json_format import MessageToDict
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.timeout(600)

_PATIENCE = 240.0
TENSORS = """
max_batch_size: 8
input [
  { name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
output [
  { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "OUTPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
"""
SIMPLE = 'backend: "python"\ninstance_group [{ kind: KIND_CPU }]\n' + TENSORS
TWICE = 'platform: "ensemble"\n' + TENSORS + """
ensemble_scheduling { step [
  { model_name: "simple" model_version: -1
    input_map { key: "INPUT0" value: "INPUT0" } input_map { key: "INPUT1" value: "INPUT1" }
    output_map { key: "OUTPUT0" value: "a" } output_map { key: "OUTPUT1" value: "b" } },
  { model_name: "simple" model_version: -1
    input_map { key: "INPUT0" value: "a" } input_map { key: "INPUT1" value: "b" }
    output_map { key: "OUTPUT0" value: "OUTPUT0" } output_map { key: "OUTPUT1" value: "OUTPUT1" } }
] }
"""  # fmt: skip
CODE = '''
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Sums and differences; a thousand is refused."""

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        a, b = (pb_utils.get_input_tensor_by_name(request, f"INPUT{i}").as_numpy() for i in (0, 1))
        if (a == 1000).any():
            return pb_utils.InferenceResponse([], pb_utils.TritonError("a thousand is too much"))
        tensors = [pb_utils.Tensor("OUTPUT0", a + b), pb_utils.Tensor("OUTPUT1", a - b)]
        return pb_utils.InferenceResponse(tensors)
'''


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(module: list[str], root: Path, log: Path, *options: str) -> Iterator[tuple[int, int]]:
    """Run a server of a repository until the block ends; give its ports of HTTP and of gRPC."""
    http, grpc = free_port(), free_port()
    command = [sys.executable, "-m", *module, f"--model-repository={root}",
               f"--http-port={http}", f"--grpc-port={grpc}", "--trust", *options]  # fmt: skip
    with log.open("w") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told, env={**os.environ})
        try:
            wait_live(process, http, log)
            yield http, grpc if "sampan.app.tritonserver" in module else http
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def wait_live(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/live", timeout=10):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)


OURS = ["sampan.app.serve", "--runtime=triton"]
NVIDIAS = ["sampan.app.tritonserver"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a Python model, and an ensemble that asks it twice."""
    made = tmp_path_factory.mktemp("repository")
    for name, config in (("simple", SIMPLE), ("twice", TWICE)):
        (made / name / "1").mkdir(parents=True)
        (made / name / "config.pbtxt").write_text(f'name: "{name}"\n{config}')
    (made / "simple" / "1" / "model.py").write_text(CODE)
    return made


@pytest.fixture(scope="module")
def servers(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[tuple[int, int]]]:
    """Give the ports of ours and of NVIDIA's."""
    logs = tmp_path_factory.mktemp("logs")
    with running(OURS, root, logs / "ours") as mine, running(NVIDIAS, root, logs / "nvidias") as it:
        yield [mine, it]


@pytest.fixture(params=["http", "grpc"])
def clients(request: pytest.FixtureRequest, servers: list[tuple[int, int]]) -> Iterator[list[Any]]:
    """Give a stock client of ours and one of NVIDIA's."""
    place = ["http", "grpc"].index(request.param)
    module = (over_http, over_grpc)[place]
    made = [module.InferenceServerClient(f"127.0.0.1:{ports[place]}") for ports in servers]
    yield made
    for client in made:
        client.close()


def module_of(client: Any) -> Any:
    return over_http if isinstance(client, over_http.InferenceServerClient) else over_grpc


def plain(answer: Any) -> Any:
    if hasattr(answer, "DESCRIPTOR"):
        return MessageToDict(answer, preserving_proto_field_name=True)
    return answer


def given(client: Any, *arrays: Any) -> list[Any]:
    inputs = []
    for number, array in enumerate(arrays):
        tensor = module_of(client).InferInput(f"INPUT{number}", list(array.shape), "INT32")
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def rows(count: int = 1, size: int = 16, start: int = 0) -> Any:
    return np.arange(start, start + count * size, dtype=np.int32).reshape(count, size)


def both(clients: list[Any], ask: Callable[[Any], Any]) -> tuple[Any, Any]:
    mine, nvidias = (ask(client) for client in clients)
    return mine, nvidias


def refused(ask: Callable[[], Any]) -> tuple[str, str]:
    """Return the status and the words of an error."""
    with pytest.raises(InferenceServerException) as caught:
        ask()
    return str(caught.value.status()), str(caught.value.message())


@pytest.mark.parametrize("name", ["simple", "twice"])
@pytest.mark.parametrize("count", [1, 3])
def test_an_inference_has_the_same_answer(clients, name, count):
    def ask(client: Any) -> Any:
        answer = client.infer(name, given(client, rows(count), rows(count, start=7)),
                              request_id="9")  # fmt: skip
        told = plain(answer.get_response())
        shapes = sorted(  # of an ensemble's outputs any may be done first
            (t["name"], t["datatype"], [int(n) for n in t["shape"]]) for t in told["outputs"]
        )
        head = (told["id"], told["model_name"], told["model_version"])
        return head, shapes, [answer.as_numpy(t[0]).tolist() for t in shapes]

    mine, nvidias = both(clients, ask)
    assert mine == nvidias


def test_metadata_and_configuration_are_the_same(clients):
    for name in ("simple", "twice"):
        mine, nvidias = both(clients, lambda c, n=name: plain(c.get_model_metadata(n)))
        assert mine == nvidias
        mine, nvidias = both(clients, lambda c, n=name: plain(c.get_model_config(n)))
        mine, nvidias = (each.get("config", each) for each in (mine, nvidias))
        for part in ("name", "backend", "platform", "max_batch_size", "input", "output"):
            assert _essence(mine.get(part)) == _essence(nvidias.get(part)), part


def _essence(value: Any) -> Any:
    """Return a part of a configuration without what only says the default."""
    if isinstance(value, dict):
        kept = {name: _essence(item) for name, item in value.items()}
        return {n: v for n, v in kept.items() if v not in ({}, [], "", False, None, "FORMAT_NONE")}
    return [_essence(item) for item in value] if isinstance(value, list) else value or ""


def test_health_and_the_index_are_the_same(clients):
    mine, nvidias = both(clients, lambda c: (
        c.is_server_live(), c.is_server_ready(), c.is_model_ready("simple"),
        c.is_model_ready("simple", "1"), c.is_model_ready("nobody")))  # fmt: skip
    assert mine == nvidias == (True, True, True, True, False)

    def index(client: Any) -> Any:
        told = plain(client.get_model_repository_index())
        listed = told.get("models", []) if isinstance(told, dict) else told
        return sorted((model["name"], model["version"], model["state"]) for model in listed)

    mine, nvidias = both(clients, index)
    assert mine == nvidias


def test_statistics_count_the_same(clients):
    def counts(client: Any) -> Any:
        told = plain(client.get_inference_statistics("simple", "1"))["model_stats"][0]
        success = told["inference_stats"]["success"]
        return (int(told["inference_count"]), int(told["execution_count"]), int(success["count"]),
                {name for name in told["inference_stats"] if name in _TIMES})  # fmt: skip

    def ask(client: Any) -> Any:
        before = counts(client)
        for count in (1, 2):
            client.infer("simple", given(client, rows(count), rows(count)))
        after = counts(client)
        return [new - old for new, old in zip(after[:3], before[:3], strict=True)], after[3]

    mine, nvidias = both(clients, ask)
    assert mine == nvidias == ([3, 2, 2], set(_TIMES))


_TIMES = ("success", "queue", "compute_input", "compute_infer", "compute_output")

WRONG = {
    "a model that is not there": lambda c: c.infer("nobody", given(c, rows(), rows())),
    "a version that is not there": lambda c: c.infer("simple", given(c, rows(), rows()), "7"),
    "a missing input": lambda c: c.infer("simple", given(c, rows())),
    "a wrong shape": lambda c: c.infer("simple", given(c, rows(size=4), rows(size=4))),
    "more rows than a batch has": lambda c: c.infer("simple", given(c, rows(9), rows(9))),
    "an output that is not there": lambda c: c.infer(
        "simple", given(c, rows(), rows()),
        outputs=[module_of(c).InferRequestedOutput("OUTPUT7")]),
    "a model's own error": lambda c: c.infer("simple", given(c, rows(start=1000), rows())),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_has_the_same_status(case, clients):
    (status, words), (theirs, said) = (refused(lambda c=c: WRONG[case](c)) for c in clients)
    if case == "a model's own error":
        assert "a thousand is too much" in words
        assert "a thousand is too much" in said
        if theirs == "StatusCode.INTERNAL":
            theirs = "StatusCode.INVALID_ARGUMENT"  # KServe's for the errors of any model
    assert status == theirs, (words, said)
    assert words


def test_models_come_and_go_by_request(root, tmp_path):
    def story(client: Any) -> Any:
        told = [client.is_model_ready("simple")]
        client.load_model("simple")
        told.append(client.is_model_ready("simple"))
        answer = client.infer("simple", given(client, rows(), rows()))
        told.append(answer.as_numpy("OUTPUT0").tolist())
        client.unload_model("simple")
        deadline = time.monotonic() + 60
        while client.is_model_ready("simple") and time.monotonic() < deadline:
            time.sleep(0.1)
        told.append(client.is_model_ready("simple"))
        refused(lambda: client.load_model("nobody"))
        return told

    told = []
    for module, log in ((OURS, "ours"), (NVIDIAS, "nvidias")):
        mode = "--model-control-mode=explicit"
        with running(module, root, tmp_path / log, mode) as (http, grpc):
            told.append([
                story(over_http.InferenceServerClient(f"127.0.0.1:{http}")),
                story(over_grpc.InferenceServerClient(f"127.0.0.1:{grpc}")),
            ])  # fmt: skip
    assert told[0] == told[1]


def test_it_listens_on_loopback_and_opens_no_port_of_metrics(servers):
    (_, _), (http, _) = servers
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/v2", timeout=20) as answer:
        assert json.loads(answer.read())["name"] == "triton"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 8002)) != 0
