"""An ONNX model over V1, V2 and gRPC, asked with stock clients on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc.aio as over_grpc
import tritonclient.http.aio as over_http
from tests.runtimes import onnx_models as models
from tritonclient.utils import InferenceServerException

from sampan.runtimes.onnx import OnnxModel
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

ROWS = np.array([[1.0, 2.0, 3.0, 4.0], [0.0, -1.0, 0.5, 2.0]], np.float32)
WANTED = ROWS @ models.WEIGHTS + models.BIAS


@pytest.fixture
async def address(tmp_path) -> AsyncIterator[str]:
    """Serve a linear model as "m"; return host and port."""
    models.save(models.linear(), tmp_path / "model.onnx")
    model = OnnxModel("m", str(tmp_path))
    model.load()
    repository = ModelRepository()
    repository.update(model)
    dataplane = DataPlane(repository, Workers(4))
    dataplane.started = True
    listener = Listener(Rest(dataplane).submit, None, Grpc(dataplane))
    await listener.listen("127.0.0.1", 0)
    yield f"127.0.0.1:{listener.address[1]}"
    await listener.drain(0)


def given(client: Any, array: Any, datatype: str) -> list[Any]:
    made = client.InferInput("x", list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return [made]


async def test_tritonclient_over_both_transports(address):
    async with over_http.InferenceServerClient(address) as client:
        answer = await client.infer("m", given(over_http, ROWS, "FP32"))
        metadata = await client.get_model_metadata("m")
    assert answer.as_numpy("y").tolist() == WANTED.tolist()
    assert metadata["platform"] == "onnxruntime_onnx"
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    async with over_grpc.InferenceServerClient(address) as client:
        answer = await client.infer("m", given(over_grpc, ROWS, "FP32"))
        assert (await client.get_model_metadata("m")).platform == "onnxruntime_onnx"
    assert answer.as_numpy("y").tolist() == WANTED.tolist()


async def test_requests_that_come_together_are_answered_as_alone(address):
    async with httpx.AsyncClient() as client:
        url = f"http://{address}/v1/models/m:predict"
        asks = [client.post(url, json={"instances": [row]}) for row in ROWS.tolist() * 20]
        answers = [answer.json()["predictions"] for answer in await asyncio.gather(*asks)]
    assert answers == [[row] for row in WANTED.tolist()] * 20


BAD = [
    pytest.param(
        np.ones((1, 2), np.float32),
        'input "x" has shape [1, 2]; send [-1, 4], where -1 is any size',
        id="a wrong shape names the tensor and the shape to send",
    ),
    pytest.param(
        np.array([[b"a", b"b", b"c", b"d"]], object),
        'input "x" has datatype BYTES; send FP32',
        id="text to a model of numbers names both datatypes",
    ),
    pytest.param(
        np.array([[True] * 4]),
        'input "x" has datatype BOOL; send FP32',
        id="truth values are no numbers",
    ),
    pytest.param(
        np.ones((0, 4), np.float32),
        'input "x" has no rows; send at least one',
        id="an empty batch is refused",
    ),
]


@pytest.mark.parametrize(("array", "words"), BAD)
async def test_bad_input_is_told_in_the_same_words_over_v1_v2_and_grpc(address, array, words):
    datatype = {"f": "FP32", "O": "BYTES", "b": "BOOL"}[array.dtype.kind]
    rows = [[v.decode() if isinstance(v, bytes) else v for v in row] for row in array.tolist()]
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"http://{address}/v1/models/m:predict", json={"instances": rows}
        )
    assert (answer.status_code, answer.json()) == (400, {"error": words})
    async with over_http.InferenceServerClient(address) as client:
        with pytest.raises(InferenceServerException) as over_v2:
            await client.infer("m", given(over_http, array, datatype))
    assert (over_v2.value.status(), over_v2.value.message()) == ("400", words)
    async with over_grpc.InferenceServerClient(address) as client:
        with pytest.raises(InferenceServerException) as over_rpc:
            await client.infer("m", given(over_grpc, array, datatype))
    assert over_rpc.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert over_rpc.value.message() == words
