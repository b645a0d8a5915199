"""A Triton repository asked with the stock tritonclient, over HTTP and gRPC alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import tritonclient.grpc.aio as over_grpc
import tritonclient.http.aio as over_http
from google.protobuf.json_format import MessageToDict
from tests.runtimes.triton_served import (
    DIFFERENCE,
    SIMPLE,
    SUM,
    given,
    serve,
    write_simple,
)
from tritonclient.utils import InferenceServerException

CLIENTS = pytest.mark.parametrize("module", [over_http, over_grpc], ids=["http", "grpc"])


@pytest.fixture
def root(tmp_path):
    """Return a repository with "simple" in versions 1 and 3."""
    policy = "version_policy: { all { } }"
    return write_simple(tmp_path, (1, 3), SIMPLE + policy)


@pytest.fixture
async def client(root, module) -> AsyncIterator[Any]:
    async with serve(root) as served, module.InferenceServerClient(served.address) as made:
        yield made


def plain(answer: Any) -> Any:
    """Return what either client answers as plain values."""
    if hasattr(answer, "DESCRIPTOR"):
        return MessageToDict(answer, preserving_proto_field_name=True)
    return answer


@CLIENTS
async def test_health(client, module):
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("simple")
    assert await client.is_model_ready("simple", "3")
    assert not await client.is_model_ready("simple", "2")
    assert not await client.is_model_ready("nobody")


@CLIENTS
async def test_metadata_names_versions_platform_and_the_batch(client, module):
    metadata = plain(await client.get_model_metadata("simple"))
    assert (metadata["versions"], metadata["platform"]) == (["1", "3"], "onnxruntime_onnx")
    assert [t["name"] for t in metadata["inputs"]] == ["INPUT0", "INPUT1"]
    assert [int(size) for size in metadata["outputs"][1]["shape"]] == [-1, 16]
    server = plain(await client.get_server_metadata())
    assert {"statistics", "model_repository", "model_configuration"} <= set(server["extensions"])


@CLIENTS
async def test_an_inference_tells_the_version_that_answered(client, module):
    for asked, answered in (("", "3"), ("1", "1"), ("3", "3")):
        answer = await client.infer("simple", given(module, 2), asked, request_id="7")
        assert answer.as_numpy("OUTPUT0").tolist() == [SUM] * 2
        assert answer.as_numpy("OUTPUT1").tolist() == [DIFFERENCE] * 2
        told = plain(answer.get_response())
        assert (told["id"], told["model_version"]) == ("7", answered)


@CLIENTS
async def test_only_the_outputs_that_are_asked_for(client, module):
    wanted = [module.InferRequestedOutput("OUTPUT1")]
    answer = await client.infer("simple", given(module), outputs=wanted)
    assert answer.as_numpy("OUTPUT1").tolist() == [DIFFERENCE]
    assert answer.as_numpy("OUTPUT0") is None


@CLIENTS
async def test_classes_with_their_values(client, module):
    wanted = [module.InferRequestedOutput("OUTPUT0", class_count=2)]
    answer = await client.infer("simple", given(module), outputs=wanted)
    assert answer.as_numpy("OUTPUT0").tolist() == [[b"16.000000:15", b"15.000000:14"]]


@CLIENTS
async def test_the_configuration(client, module):
    answer = plain(await client.get_model_config("simple"))
    config = answer.get("config", answer)
    assert config["backend"] == "onnxruntime"
    assert config["max_batch_size"] == 8
    assert config["input"][0]["data_type"] == "TYPE_INT32"
    assert [int(size) for size in config["input"][0]["dims"]] == [16]
    assert "all" in config["version_policy"]


@CLIENTS
async def test_statistics_count_requests_rows_and_executions(client, module):
    for rows in (1, 2, 2):
        await client.infer("simple", given(module, rows))
    with pytest.raises(InferenceServerException):
        await client.infer("simple", given(module, 9))
    answer = plain(await client.get_inference_statistics("simple", "3"))
    (told,) = answer["model_stats"]
    assert (told["name"], told["version"]) == ("simple", "3")
    assert (int(told["inference_count"]), int(told["execution_count"])) == (5, 3)
    stats = told["inference_stats"]
    assert (int(stats["success"]["count"]), int(stats["fail"]["count"])) == (3, 1)
    assert int(stats["compute_infer"]["ns"]) > 0
    assert int(stats["success"]["ns"]) >= int(stats["compute_infer"]["ns"])
    sizes = {int(b["batch_size"]): int(b["compute_infer"]["count"]) for b in told["batch_stats"]}
    assert sizes == {1: 1, 2: 2}
    every = plain(await client.get_inference_statistics())["model_stats"]
    assert [(one["name"], one["version"]) for one in every] == [("simple", "1"), ("simple", "3")]


@CLIENTS
async def test_the_index_has_a_row_a_version(client, module):
    answer = plain(await client.get_model_repository_index())
    rows = answer["models"] if isinstance(answer, dict) else answer
    assert [(r["name"], r["version"], r["state"]) for r in rows] == [
        ("simple", "1", "READY"),
        ("simple", "3", "READY"),
    ]


@CLIENTS
@pytest.mark.parametrize(
    ("name", "version", "rows", "words"),
    [
        pytest.param("none", "", 1, "none does not exist", id="an unknown model"),
        pytest.param("simple", "2", 1, "simple with version 2", id="an unknown version"),
        pytest.param("simple", "", 9, "takes 8; send fewer", id="a batch that is too large"),
    ],
)
async def test_what_cannot_be_answered_is_told(client, module, name, version, rows, words):
    with pytest.raises(InferenceServerException, match=words):
        await client.infer(name, given(module, rows), version)


@CLIENTS
async def test_a_wrong_shape_names_the_tensor(client, module):
    with pytest.raises(InferenceServerException, match=r'"INPUT0" has shape \[1, 4\]'):
        await client.infer("simple", given(module, 1, 4))


@CLIENTS
async def test_models_are_not_loaded_by_requests_unless_asked_for(client, module):
    with pytest.raises(InferenceServerException, match="--model-control-mode=explicit"):
        await client.load_model("simple")


@CLIENTS
async def test_explicit_control(tmp_path, module):
    write_simple(tmp_path)
    async with (
        serve(tmp_path, model_control_mode="explicit") as served,
        module.InferenceServerClient(served.address) as client,
    ):
        assert await client.is_server_ready()
        assert not await client.is_model_ready("simple") if module is over_http else True
        await client.load_model("simple")
        assert (await client.infer("simple", given(module))).as_numpy("OUTPUT0").tolist() == [SUM]
        for name in ("other", "..", "simple"[:-1]) if module is over_grpc else ("other",):
            with pytest.raises(InferenceServerException, match=f'"{name}" is not in the repos'):
                await client.load_model(name)
        with pytest.raises(InferenceServerException, match="files are not taken"):
            await client.load_model("simple", config="{}", files={"file:1/model.onnx": b"x"})
        config = {"backend": "onnxruntime", "max_batch_size": 2}
        await client.load_model("simple", config=json.dumps(config))
        with pytest.raises(InferenceServerException, match="takes 2; send fewer"):
            await client.infer("simple", given(module, 3))
        await client.unload_model("simple")
        with pytest.raises(InferenceServerException, match="does not exist"):
            await client.infer("simple", given(module))
        rows = plain(await client.get_model_repository_index())
        (row,) = rows["models"] if isinstance(rows, dict) else rows
        assert (row["state"], row["reason"]) == ("UNAVAILABLE", "unloaded")


async def test_requests_that_come_together_run_together(tmp_path):
    write_simple(
        tmp_path, config=SIMPLE + "dynamic_batching { max_queue_delay_microseconds: 20000 }"
    )
    async with (
        serve(tmp_path) as served,
        over_grpc.InferenceServerClient(served.address) as client,
    ):
        answers = await asyncio.gather(
            *(client.infer("simple", given(over_grpc)) for _ in range(16))
        )
        told = plain(await client.get_inference_statistics("simple"))["model_stats"][0]
    assert all(answer.as_numpy("OUTPUT0").tolist() == [SUM] for answer in answers)
    assert int(told["inference_count"]) == 16
    assert int(told["execution_count"]) < 16
    assert max(int(batch["batch_size"]) for batch in told["batch_stats"]) <= 8


async def test_tritons_counters_are_metrics_too(root):
    async with serve(root) as served, httpx.AsyncClient() as client:
        async with over_http.InferenceServerClient(served.address) as triton:
            await triton.infer("simple", given(over_http, 2), "1")
        text = (await client.get(f"http://{served.address}/metrics")).text
    assert 'nv_inference_count{model="simple",version="1"} 2' in text
    assert 'nv_inference_request_success{model="simple",version="1"} 1' in text
    assert 'nv_inference_request_success{model="simple",version="3"} 0' in text
    assert "kserve_inference_requests_total" in text
