"""KServe's `InferenceRESTClient`: names, results and errors of KServe's own."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from sampan.client.predictor_protocol import PredictorProtocol
from sampan.client.rest import InferenceRESTClient, RESTConfig
from sampan.protocol.errors import UnsupportedProtocol
from sampan.protocol.tensors import InferInput, InferRequest

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def client(protocol: str | PredictorProtocol = "v1") -> InferenceRESTClient:
    return InferenceRESTClient(RESTConfig(protocol=protocol))


async def test_v1_answers_with_decoded_json_and_fills_the_headers(server_url):
    headers: dict[str, str] = {}
    async with client() as asked:
        body = {"instances": [1]}
        found = await asked.infer(server_url, body, "echo", response_headers=headers)
    assert found == {"predictions": [1]}
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("binary", [True, False])
async def test_v2_answers_with_a_response(server_url, binary):
    tensor = InferInput("x", [2], "INT32")
    tensor.set_data_from_numpy(np.array([1, 2], dtype=np.int32), binary_data=binary)
    async with client(PredictorProtocol.REST_V2) as asked:
        found = await asked.infer(server_url, InferRequest("echo", [tensor], "7"), "echo")
    assert (found.id, found.outputs[0].data) == ("7", [1, 2])


async def test_a_graph_endpoint_is_asked_as_it_is(remote):
    graph = remote(OK)
    async with client("v2") as asked:
        assert await asked.infer(f"{graph.url}/a/b", {}, is_graph_endpoint=True) == {}
    assert graph.requests[0].startswith(b"POST /a/b HTTP")


async def test_an_error_is_httpx_own_with_the_servers_words(server_url):
    async with client() as asked:
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await asked.infer(server_url, {"instances": []}, "none")
    url = f"{server_url}/v1/models/none:predict"
    words = "Model with name none does not exist."
    assert str(caught.value) == f"{words}, '404 Not Found' for url '{url}'"


async def test_health(server_url):
    async with client("v1") as v1, client("v2") as v2:
        assert await v1.is_server_live(server_url)
        assert await v2.is_server_live(server_url)
        assert await v1.is_model_ready(server_url, "echo")
        assert not await v1.is_model_ready(server_url, "later")
        assert not await v2.is_model_ready(server_url, "none")
        with pytest.raises(UnsupportedProtocol):
            await v1.is_server_ready(server_url)
        with pytest.raises(UnsupportedProtocol):
            await v2.explain(server_url, "echo", {})


async def test_wrong_arguments_are_kserves_errors(server_url):
    async with client() as asked:
        with pytest.raises(ValueError, match="model_name should not be 'None'"):
            await asked.infer(server_url, {})
        with pytest.raises(httpx.InvalidURL, match="'http://' or 'https://' protocol"):
            await asked.infer("localhost:8080", {}, "echo")


async def test_retries_reach_the_transport():
    async with InferenceRESTClient(RESTConfig(retries=4)) as asked:
        assert asked._client._transport._pool._retries == 4
