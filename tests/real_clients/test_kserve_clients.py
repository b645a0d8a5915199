"""KServe's own clients, from kserve 0.21.0: `InferenceRESTClient` and `InferenceGRPCClient`."""

from __future__ import annotations

import pytest
from bench.peers import KSERVE, peer_python
from bench.setting import Setting

pytestmark = pytest.mark.slow

COMMON = """
import asyncio, json, sys
import httpx
import numpy as np
from kserve import (
    InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig,
)

url = sys.argv[1]
rows = np.array([[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]], dtype=np.float32)


def request(binary):
    tensor = InferInput("input-0", [2, 4], "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return InferRequest("sklearn-iris", [tensor], "7")

"""
V1 = """
async def main():
    told, headers = {}, {}
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        told["answer"] = await client.infer(
            url, {"instances": rows.tolist()}, model_name="sklearn-iris", response_headers=headers
        )
        told["type"] = headers["content-type"]
        told["live"] = await client.is_server_live(url)
        told["ready"] = await client.is_model_ready(url, "sklearn-iris")
        for name, ask in (
            ("none", client.infer(url, {"instances": []}, model_name="none")),
            ("explain", client.explain(url, "sklearn-iris", {"instances": []})),
        ):
            try:
                await ask
            except httpx.HTTPStatusError as error:
                told[name] = str(error)
    print(json.dumps(told))

asyncio.run(main())
"""
V2 = """
async def main():
    told = {"answers": []}
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        for binary in (True, False):
            answer = await client.infer(url, request(binary), model_name="sklearn-iris")
            output = answer.outputs[0]
            told["answers"].append([answer.id, output.datatype, output.as_numpy().tolist()])
        asked = request(True)
        asked.parameters = {"binary_data_output": True}
        answer = await client.infer(url, asked, model_name="sklearn-iris")
        told["answers"].append([answer.id, "", answer.outputs[0].as_numpy().tolist()])
        told["health"] = [
            await client.is_server_live(url),
            await client.is_server_ready(url),
            await client.is_model_ready(url, "sklearn-iris"),
            await client.is_model_ready(url, "none"),
        ]
    print(json.dumps(told))

asyncio.run(main())
"""
GRPC = """
async def main():
    told = {"answers": []}
    client = InferenceGRPCClient(url.removeprefix("http://"))
    for binary in (True, False):
        answer = await client.infer(request(binary), headers=[("x-request-id", "abc")])
        told["answers"].append([answer.id, answer.outputs[0].as_numpy().tolist()])
    told["health"] = [
        await client.is_server_live(),
        await client.is_server_ready(),
        await client.is_model_ready("sklearn-iris"),
    ]
    missing = request(True)
    missing.model_name = "none"
    try:
        await client.infer(missing)
    except Exception as error:
        told["none"] = [error.code().name, error.details()]
    await client.close()
    print(json.dumps(told))

asyncio.run(main())
"""


@pytest.fixture
def kserve(served, ask_with):
    """`kserve(program)` runs a program with KServe's clients; returns what it prints."""
    python = peer_python(Setting(), KSERVE)
    return lambda program: ask_with(python, COMMON + program, served.url)


def test_v1_over_rest(kserve, served):
    told = kserve(V1)
    words = "Model with name none does not exist."
    url = f"{served.url}/v1/models/none:predict"
    assert told == {
        "answer": {"predictions": [1, 1]},
        "type": "application/json",
        "live": True,
        "ready": True,
        "none": f"{words}, '404 Not Found' for url '{url}'",
        "explain": told["explain"],
    }
    assert "'501 Not Implemented'" in told["explain"]


def test_v2_over_rest_with_json_and_binary(kserve):
    told = kserve(V2)
    assert [answer[::2] for answer in told["answers"]] == [["7", [1, 1]]] * 3
    assert told["health"] == [True, True, True, False]


def test_grpc(kserve):
    told = kserve(GRPC)
    assert told["answers"] == [["7", [1, 1]]] * 2
    assert told["health"] == [True, True, True]
    assert told["none"] == ["NOT_FOUND", "Model with name none does not exist."]
