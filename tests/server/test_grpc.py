"""gRPC over a real socket with real clients: grpcio, tritonclient, health and reflection.

The clients block, so they run on threads while the server's loop serves.
"""

from __future__ import annotations

import asyncio
import queue
import shutil
import threading
import time
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from sklearn.datasets import load_iris
from tritonclient.grpc import service_pb2

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.grpc import framing
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.limits import Limits
from sampan.wire.listener import Listener

INFER = "/inference.GRPCInferenceService/ModelInfer"


class Raising(Model):
    """Raises what its request's id names; waits where that is "wait"."""

    errors = {  # noqa: RUF012  # a table of the test
        "invalid": InvalidInput("bad value"),
        "inference": InferenceError("model says no"),
        "bug": KeyError("secret"),
        "unbuilt": NotImplementedError("not here"),
    }
    release = threading.Event()
    predicted = 0

    def predict(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's names
        if payload.id == "wait":
            self.release.wait(10)
        type(self).predicted += 1
        raise self.errors.get(payload.id, InvalidInput("released"))


class Server:
    """A running gRPC server and a channel to it."""

    def __init__(self, listener: Listener, dataplane: DataPlane) -> None:
        self.listener, self.dataplane = listener, dataplane
        self.address = "{}:{}".format(*listener.address)
        self.channel = grpc.insecure_channel(self.address)

    async def call(self, path: str, message: bytes, **options: Any) -> bytes:
        """Make a unary call with raw bytes."""
        method = self.channel.unary_unary(path)
        return await asyncio.to_thread(
            method, message, timeout=options.pop("timeout", 10), **options
        )

    async def fails(self, path: str, message: bytes, **options: Any) -> tuple[Any, str]:
        """Return code and details of a call that must fail."""
        with pytest.raises(grpc.RpcError) as raised:
            await self.call(path, message, **options)
        return raised.value.code(), raised.value.details()


@pytest.fixture
async def serve():
    """Start gRPC servers for models."""
    servers = []

    async def starter(*models: Model, limits: Limits | None = None, **options: Any) -> Server:
        repository = ModelRepository()
        for model in models:
            repository.update(model)
        dataplane = DataPlane(repository, Workers(4))
        dataplane.started = True
        listener = Listener(Rest(dataplane).submit, limits, Grpc(dataplane, **options))
        await listener.listen("127.0.0.1", 0)
        servers.append(Server(listener, dataplane))
        return servers[-1]

    yield starter
    for server in servers:
        server.channel.close()
        await server.listener.drain(0)


@pytest.fixture
def raising():
    """Return a model that raises what it is told to."""
    model = Raising("r")
    model.load()
    Raising.predicted = 0
    Raising.release.clear()
    yield model
    Raising.release.set()


def ask(model: str = "echo", request_id: str = "", array: Any = None) -> bytes:
    """Return a ModelInferRequest with raw contents."""
    array = np.array([[1, 2]], np.float32) if array is None else array
    message = service_pb2.ModelInferRequest(model_name=model, id=request_id)
    message.inputs.add(name="x", datatype="FP32", shape=array.shape)
    message.raw_input_contents.append(array.tobytes())
    return message.SerializeToString()


async def test_tritonclient_speaks_to_it(serve, iris):
    server = await serve(iris)

    def speak() -> None:
        client = triton.InferenceServerClient(server.address)
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("sk")
        assert client.get_server_metadata().name == "sampan"
        assert client.get_model_metadata("sk").name == "sk"
        assert [m.state for m in client.get_model_repository_index().models] == ["Ready"]
        client.load_model("sk")
        rows = load_iris().data[:100].astype(np.float32)
        for typed in (False, True):
            tensor = triton.InferInput("x", rows.shape, "FP32")
            tensor.set_data_from_numpy(rows)
            request_ids = [f"id-{typed}"]
            result = client.infer("sk", [tensor], request_id=request_ids[0])
            assert result.get_response().id == request_ids[0]
            assert result.as_numpy("output-0").tolist() == iris._predict(rows).tolist()
        client.close()

    await asyncio.to_thread(speak)


async def test_a_stream_is_answered_in_order_and_outlives_a_wrong_request(serve, echo):
    server = await serve(echo)

    def speak() -> list[str]:
        client = triton.InferenceServerClient(server.address)
        told: queue.Queue[Any] = queue.Queue()
        client.start_stream(lambda result, error: told.put((result, error)))
        tensor = triton.InferInput("x", [1], "FP32")
        for number in range(20):
            tensor.set_data_from_numpy(np.array([number], np.float32))
            model = "nobody" if number == 7 else "echo"
            client.async_stream_infer(model, [tensor], request_id=str(number))
        got = [told.get(timeout=10) for _ in range(20)]
        client.stop_stream()
        client.close()
        return [str(error) if error else result.get_response().id for result, error in got]

    answers = await asyncio.to_thread(speak)
    assert answers[7] == "Model with name nobody does not exist."
    assert answers[:7] + answers[8:] == [str(n) for n in range(20) if n != 7]


async def test_typed_contents_are_answered_typed_and_raw_raw(serve, echo):
    server = await serve(echo)
    typed = service_pb2.ModelInferRequest(model_name="echo", id="7")
    typed.inputs.add(name="x", datatype="INT64", shape=[2]).contents.int64_contents.extend([-1, 5])
    answer = service_pb2.ModelInferResponse.FromString(
        await server.call(INFER, typed.SerializeToString())
    )
    assert answer.id == "7"
    assert list(answer.outputs[0].contents.int64_contents) == [-1, 5]
    assert not answer.raw_output_contents
    answer = service_pb2.ModelInferResponse.FromString(await server.call(INFER, ask()))
    assert answer.raw_output_contents == [np.array([1, 2], np.float32).tobytes()]


@pytest.mark.parametrize("megabytes", [0.1, 3, 7.9])
async def test_large_tensors_go_both_ways(serve, echo, megabytes):
    server = await serve(echo)
    server.channel = grpc.insecure_channel(
        server.address, options=[("grpc.max_receive_message_length", -1)]
    )
    array = np.random.default_rng(1).random((1, int(megabytes * 2**20 / 4)), np.float32)
    answer = service_pb2.ModelInferResponse.FromString(await server.call(INFER, ask(array=array)))
    assert answer.raw_output_contents[0] == array.tobytes()


async def test_gzip_is_read(serve, echo):
    server = await serve(echo)
    answer = await server.call(INFER, ask(), compression=grpc.Compression.Gzip)
    assert service_pb2.ModelInferResponse.FromString(answer).model_name == "echo"


ERRORS = {
    "a model that is not there": (
        "nobody",
        "",
        "NOT_FOUND",
        "Model with name nobody does not exist.",
    ),
    "a model that is not ready": ("cold", "", "UNAVAILABLE", "Model with name cold is not ready."),
    "an invalid input": ("r", "invalid", "INVALID_ARGUMENT", "bad value"),
    "an inference error": ("r", "inference", "INVALID_ARGUMENT", "model says no"),
    "a step that is not built": ("r", "unbuilt", "UNIMPLEMENTED", "not here"),
    "a bug, which tells nothing": ("r", "bug", "INTERNAL", "Internal server error"),
}


@pytest.mark.parametrize(("model", "request_id", "code", "text"), ERRORS.values(), ids=ERRORS)
async def test_errors_have_kserves_codes(serve, raising, model, request_id, code, text):
    server = await serve(raising, Model("cold"))
    got = await server.fails(INFER, ask(model, request_id))
    assert got == (grpc.StatusCode[code], text)


async def test_what_is_no_message_and_no_method_is_told_so(serve, echo):
    server = await serve(echo)
    code, _ = await server.fails(INFER, b"\xff\xff")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    code, text = await server.fails("/inference.GRPCInferenceService/Nope", b"")
    assert (code, text) == (grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


async def test_messages_above_the_limits_are_refused_both_ways(serve, echo):
    server = await serve(echo, limits=Limits(message_bytes=10_000), most_received=10_000)
    code, text = await server.fails(INFER, ask(array=np.zeros(5000, np.float32)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in text
    server = await serve(echo, most_sent=10_000)
    code, text = await server.fails(INFER, ask(array=np.zeros(5000, np.float32)))
    assert (code, "Sent message larger than max" in text) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        True,
    )


async def test_kserves_and_tritons_forms_of_unload_name_the_model(serve, echo, iris):
    server = await serve(echo, iris)
    path = "/inference.GRPCInferenceService/RepositoryModelUnload"
    assert await server.call(path, b"\x0a\x04echo") == b"\x0a\x04echo\x10\x01"
    assert await server.call(path, b"\x12\x02sk") == b"\x0a\x02sk\x10\x01"
    code, _ = await server.fails(path, b"\x0a\x04echo")
    assert code is grpc.StatusCode.NOT_FOUND


async def test_a_model_that_is_not_ready_says_so_and_is_no_error(serve):
    server = await serve(Model("cold"))
    path = "/inference.GRPCInferenceService/"
    assert await server.call(path + "ModelReady", b"\x0a\x04cold") == b""
    assert await server.call(path + "ServerReady", b"") == b""
    assert await server.call(path + "ServerLive", b"") == b"\x08\x01"


async def test_a_deadline_ends_the_call_though_the_model_works_on(serve, raising):
    server = await serve(raising)
    before = time.monotonic()
    code, _ = await server.fails(INFER, ask("r", "wait"), timeout=0.3)
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - before < 3
    assert await server.call("/inference.GRPCInferenceService/ServerLive", b"") == b"\x08\x01"


async def test_a_cancelled_call_that_waits_is_not_predicted(serve, raising):
    server = await serve(raising)
    method = server.channel.unary_unary(INFER)
    busy = [method.future(ask("r", "wait")) for _ in range(4)]  # all four threads
    await asyncio.sleep(0.3)
    late = method.future(ask("r", "wait"))
    await asyncio.sleep(0.3)
    late.cancel()
    await asyncio.sleep(0.3)
    Raising.release.set()
    for call in busy:
        assert (await asyncio.to_thread(call.exception)).code() is grpc.StatusCode.INVALID_ARGUMENT
    code, _ = await server.fails(INFER, ask("r", "invalid"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert Raising.predicted == 5  # the four, and the last one


async def test_metadata_reaches_the_model_and_its_headers_the_client(serve):
    class Headers(Model):
        def predict(self, payload: Any, headers: Any, response_headers: Any) -> Any:
            response_headers["x-seen"] = headers["x-mine"]
            return {"model_name": "h", "id": payload.id, "outputs": [
                {"name": "y", "shape": [1], "datatype": "INT32", "data": [4]}
            ]}  # fmt: skip

    model = Headers("h", return_response_headers=True)
    model.load()
    server = await serve(model)
    method = server.channel.unary_unary(INFER)
    answer, call = await asyncio.to_thread(
        lambda: method.with_call(ask("h", "1"), metadata=(("x-mine", "me"),), timeout=10)
    )
    assert ("x-seen", "me") in call.initial_metadata()
    assert service_pb2.ModelInferResponse.FromString(answer).raw_output_contents == [b"\4\0\0\0"]


async def test_health_is_checked_and_watched(serve, echo):
    server = await serve(echo)
    stub = health_pb2_grpc.HealthStub(server.channel)
    serving = health_pb2.HealthCheckResponse.SERVING

    def check(service: str) -> Any:
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status

    for service in ("", "inference.GRPCInferenceService", "echo"):
        assert await asyncio.to_thread(check, service) == serving
    with pytest.raises(grpc.RpcError) as raised:
        await asyncio.to_thread(check, "nobody")
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="echo"), timeout=20)
    assert (await asyncio.to_thread(next, watch)).status == serving
    echo.ready = False
    changed = await asyncio.to_thread(next, watch)
    assert changed.status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()


async def test_reflection_describes_every_service(serve, echo):
    server = await serve(echo)

    def reflect() -> list[str]:
        database = ProtoReflectionDescriptorDatabase(server.channel)
        pool = DescriptorPool(database)
        return [
            method.full_name
            for service in database.get_services()
            for method in pool.FindServiceByName(service).methods
        ]

    methods = await asyncio.to_thread(reflect)
    assert "inference.GRPCInferenceService.ModelStreamInfer" in methods
    assert "grpc.reflection.v1.ServerReflection.ServerReflectionInfo" in methods


async def test_draining_finishes_calls_and_ends_watches(serve, raising):
    server = await serve(raising)
    stub = health_pb2_grpc.HealthStub(server.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=20)
    await asyncio.to_thread(next, watch)
    call = server.channel.unary_unary(INFER).future(ask("r", "wait"))
    await asyncio.sleep(0.3)
    draining = asyncio.ensure_future(server.listener.drain(10))
    await asyncio.sleep(0.2)
    Raising.release.set()
    assert (await asyncio.to_thread(call.exception)).details() == "released"
    assert await draining == 0
    with pytest.raises(grpc.RpcError) as raised:
        await asyncio.to_thread(next, watch)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_many_calls_at_once_get_their_own_answers(serve, echo):
    server = await serve(echo)
    method = server.channel.unary_unary(INFER)
    arrays = [np.full((1, 1 + n % 50), n, np.float32) for n in range(300)]
    calls = [method.future(ask(array=array), timeout=20) for array in arrays]
    for array, call in zip(arrays, calls, strict=True):
        answer = service_pb2.ModelInferResponse.FromString(await asyncio.to_thread(call.result))
        assert answer.raw_output_contents == [array.tobytes()]


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
async def test_h2load_gets_every_answer(serve, iris, tmp_path):
    server = await serve(iris)
    body = tmp_path / "body"
    body.write_bytes(framing.pack(ask("sk", array=np.array([[6.8, 2.8, 4.8, 1.4]], np.float32))))
    process = await asyncio.create_subprocess_exec(
        "h2load", "-n1000", "-c4", "-m4", "-d", str(body),
        "-H", "content-type: application/grpc", "-H", "te: trailers",
        f"http://{server.address}{INFER}", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert b"1000 succeeded, 0 failed, 0 errored" in out
