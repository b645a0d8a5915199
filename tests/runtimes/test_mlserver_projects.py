"""Projects made for MLServer, with classes of their own, served unchanged."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from sampan.app.paths import find_paths
from sampan.machinery.clock import SystemClock
from sampan.platforms.local.environments import EnvironmentCache, current_interpreter
from sampan.runtimes import get_runtime

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MODELS = """
import asyncio
from typing import List

import mlserver
import numpy as np
from mlserver import MLModel, types
from mlserver.codecs import NumpyCodec, StringCodec, decode_args
from mlserver.errors import InferenceError
from mlserver.handlers import custom_handler


class Sum(MLModel):
    async def load(self) -> bool:
        self.loop = asyncio.get_running_loop()
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        assert asyncio.get_running_loop() is self.loop
        array = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        if array.size == 1:
            raise InferenceError("one number is no sum")
        if array.size == 2:
            raise RuntimeError("broken")
        output = NumpyCodec.encode_output("total", np.array([array.sum()]))
        return types.InferenceResponse(model_name=self.name, outputs=[output])

    @custom_handler(rest_path="/my-custom-endpoint")
    async def own(self, payload: dict) -> int:
        return sum(payload["values"])


class Greeter(MLModel):
    @decode_args
    async def predict(self, names: List[str]) -> List[str]:
        return ["hello " + name for name in names]


class Batched(MLModel):
    sizes = []

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        array = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        self.sizes.append(len(array))
        await asyncio.sleep(0.05)
        mlserver.log(rows_in_a_batch=len(array))
        size = np.full((len(array), 1), max(self.sizes))
        return types.InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("size", size)]
        )
"""
SETTINGS = [
    {"name": "sum", "implementation": "models.Sum", "parameters": {"version": "v1"}},
    {"name": "greeter", "implementation": "models.Greeter"},
    {
        "name": "batched",
        "implementation": "models.Batched",
        "max_batch_size": 8,
        "max_batch_time": 0.2,
    },
]


@pytest.fixture(scope="module")
def python() -> str:
    """Build the environment of the runtime, as a platform would."""
    cache = EnvironmentCache(
        find_paths().cache / "environments", current_interpreter(), SystemClock()
    )
    return asyncio.run(cache.build(get_runtime("mlserver").requirements))


@pytest.fixture(scope="module")
def url(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the project as `sampan serve` does; end it with SIGTERM."""
    root = tmp_path_factory.mktemp("project")
    for settings in SETTINGS:
        folder = root / str(settings["name"])
        folder.mkdir()
        (folder / "models.py").write_text(MODELS)
        (folder / "model-settings.json").write_text(json.dumps(settings))
    port = free_port()
    command = [python, "-m", "sampan.app.serve", "--runtime=mlserver", "--trust", "--grpc_port=0"]
    process = subprocess.Popen(
        [*command, f"--http_port={port}", "mlserver", "start", str(root)], env=dict(os.environ)
    )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        assert process.poll() is None, "the server has ended"
        try:
            if httpx.get(f"{url}/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("not ready within two minutes")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def numbers(*values: float) -> dict[str, object]:
    tensor = {"name": "x", "shape": [len(values)], "datatype": "FP64", "data": list(values)}
    return {"id": "7", "inputs": [tensor]}


def test_a_class_predicts_on_the_loop_that_it_was_loaded_on(url):
    answer = httpx.post(f"{url}/v2/models/sum/infer", json=numbers(1, 2, 3)).json()
    assert (answer["id"], answer["model_name"]) == ("7", "sum")
    assert answer["outputs"][0]["name"] == "total"
    assert answer["outputs"][0]["data"] == [6.0]


def test_an_error_keeps_the_status_that_mlserver_gives_it(url):
    one = httpx.post(f"{url}/v2/models/sum/infer", json=numbers(1))
    assert one.status_code in {400, 500}
    assert "one number is no sum" in one.text
    two = httpx.post(f"{url}/v2/models/sum/infer", json=numbers(1, 2))
    assert (two.status_code, "broken" in two.text) == (500, True)


def test_arguments_are_decoded_by_their_types(url):
    tensor = {"name": "names", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    body = {"inputs": [{**tensor, "parameters": {"content_type": "str"}}]}
    answer = httpx.post(f"{url}/v2/models/greeter/infer", json=body).json()
    assert answer["outputs"][0]["data"] == ["hello a", "hello b"]


def test_a_handler_of_its_own(url):
    answer = httpx.post(f"{url}/my-custom-endpoint", json={"values": [1, 2]})
    assert (answer.status_code, answer.json()) == (200, 3)


async def test_adaptive_batching(url):
    async with httpx.AsyncClient(timeout=30) as client:
        asks = [
            client.post(f"{url}/v2/models/batched/infer", json=numbers(float(n))) for n in range(6)
        ]
        answers = [answer.json() for answer in await asyncio.gather(*asks)]
        text = (await client.get(f"{url}/metrics")).text
    assert all("outputs" in answer for answer in answers), answers
    assert max(answer["outputs"][0]["data"][0] for answer in answers) > 1
    assert 'rows_in_a_batch_count{model_name="batched",model_version=""}' in text
    assert "kserve_inference_requests_total" in text


def test_metadata_and_index(url):
    assert httpx.get(f"{url}/v2/models/sum").json()["versions"] == ["v1"]
    rows = httpx.post(f"{url}/v2/repository/index", json={}).json()
    assert sorted(row["name"] for row in rows) == ["batched", "greeter", "sum"]
