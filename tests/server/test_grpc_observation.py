"""What is told of gRPC calls: ids in metadata, a line each in the access log, with the status."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from sampan.server.access_log import AccessLog
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Observation
from sampan.server.grpc import Grpc
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"


@pytest.fixture
def lines():
    """Return the lines of the access log, decoded as they come."""
    kept: list[Any] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record.getMessage())

    access = logging.getLogger("sampan.access")
    before = access.handlers
    yield Keep(), kept
    access.handlers = before


@pytest.fixture
async def channel(echo, lines):
    """Serve "echo" with a JSON access log; give a channel to it."""
    listeners = []
    channels = []

    async def start(model: Model = echo, line_format: str = "json") -> grpc.Channel:
        observation = Observation(access_log=AccessLog(line_format), server_timing=True)
        logging.getLogger("sampan.access").handlers = [lines[0]]
        repository = ModelRepository()
        repository.update(model)
        dataplane = DataPlane(repository, Workers(2))
        dataplane.started = True
        calls = Grpc(dataplane, observation=observation)
        listeners.append(Listener(Rest(dataplane).submit, None, calls))
        await listeners[-1].listen("127.0.0.1", 0)
        channels.append(grpc.insecure_channel("{}:{}".format(*listeners[-1].address)))
        return channels[-1]

    yield start
    for one in channels:
        one.close()
    for listener in listeners:
        await listener.drain(0)


def ask(model: str = "echo", size: int = 2) -> bytes:
    """Return a request of two numbers; `size` says how many it claims."""
    message = service_pb2.ModelInferRequest(model_name=model, id="7")
    tensor = message.inputs.add(name="x", datatype="FP32", shape=[size])
    tensor.contents.fp32_contents.extend([1, 2])
    return bytes(message.SerializeToString())


async def until(condition) -> None:
    """Wait for what is bound to come."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come within ten seconds")


async def test_a_given_request_id_comes_back_and_is_in_the_line(channel, lines):
    method = (await channel()).unary_unary(INFER)
    sent = (("x-request-id", "abc-1"),)
    answer, call = await asyncio.to_thread(method.with_call, ask(), timeout=10, metadata=sent)
    metadata = dict(call.initial_metadata())
    assert metadata["x-request-id"] == "abc-1"
    assert re.match(r"preprocess;dur=\S+, predict;dur=", metadata["server-timing"])
    line = json.loads(lines[1][0])
    assert {k: line[k] for k in ("request_id", "method", "path", "status", "model")} == {
        "request_id": "abc-1",
        "method": "POST",
        "path": INFER,
        "status": 200,
        "model": "echo",
    }
    assert line["grpc_status"] == 0
    assert line["bytes"] == len(answer) + 5
    assert line["predict_seconds"] >= 0


async def test_a_call_without_an_id_is_given_one_that_the_model_sees(channel):
    class Tells(Model):
        def predict(self, payload, headers=None):  # noqa: ARG002  # KServe's names
            return {"id": headers["x-request-id"], "model_name": "tells", "outputs": []}

    model = Tells("tells")
    model.load()
    method = (await channel(model)).unary_unary(INFER)
    given = []
    for _ in range(2):
        answer, call = await asyncio.to_thread(method.with_call, ask("tells"), timeout=10)
        told = dict(call.initial_metadata())["x-request-id"]
        assert service_pb2.ModelInferResponse.FromString(answer).id == told
        given.append(told)
    assert given[0] != given[1]


@pytest.mark.parametrize(
    ("path", "message", "status"),
    [
        pytest.param(INFER, ask("nobody"), 5, id="a model that nobody knows"),
        pytest.param(INFER, ask(size=3), 3, id="a tensor that does not fit"),
        pytest.param("/inference.GRPCInferenceService/Nothing", b"", 12, id="an unknown method"),
        pytest.param("/inference.GRPCInferenceService/ServerLive", b"", 0, id="a small method"),
    ],
)
async def test_the_line_has_the_status_of_the_call(channel, lines, path, message, status):
    method = (await channel()).unary_unary(path)
    try:
        await asyncio.to_thread(method, message, timeout=10)
    except grpc.RpcError as error:
        assert error.code().value[0] == status  # noqa: PT017  # or it is answered
    (line,) = map(json.loads, lines[1])
    assert line["grpc_status"] == status


async def test_a_stream_has_one_line_when_it_ends(channel, lines):
    method = (await channel()).stream_stream(STREAM)

    def speak() -> tuple[list[bytes], dict[str, Any]]:
        call = method(iter([ask(), ask()]), timeout=10, metadata=(("x-request-id", "s-1"),))
        return list(call), dict(call.initial_metadata())

    answers, metadata = await asyncio.to_thread(speak)
    assert metadata["x-request-id"] == "s-1"
    await until(lambda: lines[1])
    (line,) = map(json.loads, lines[1])
    assert (line["request_id"], line["grpc_status"]) == ("s-1", 0)
    assert line["bytes"] == sum(len(answer) + 5 for answer in answers)


async def test_a_call_that_its_client_gives_up_is_told_as_cancelled(channel, lines):
    begun, release = threading.Event(), threading.Event()

    class Waits(Model):
        def predict(self, payload, headers=None):  # noqa: ARG002  # KServe's names
            begun.set()
            release.wait(30)
            return {"id": "", "model_name": "waits", "outputs": []}

    model = Waits("waits")
    model.load()
    method = (await channel(model)).unary_unary(INFER)
    future = method.future(ask("waits"), timeout=30)
    await until(begun.is_set)
    future.cancel()
    await until(lambda: lines[1])
    release.set()
    (line,) = map(json.loads, lines[1])
    assert line["grpc_status"] == 1


async def test_a_line_of_ones_own_form_can_tell_the_status(channel, lines):
    method = (await channel(line_format="%(U)s %({grpc-status}o)s")).unary_unary(INFER)
    await asyncio.to_thread(method, ask(), timeout=10)
    assert lines[1] == [f"{INFER} 0"]
