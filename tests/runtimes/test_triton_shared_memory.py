"""Triton's shared memory of the machine, by the stock tritonclient over HTTP and gRPC."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import tritonclient.grpc.aio as over_grpc
import tritonclient.http.aio as over_http
import tritonclient.utils.shared_memory as shm
from tests.runtimes.triton_served import DIFFERENCE, SUM, given, serve, write_simple
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc.infer import encode_response
from sampan.protocol.tensors import InferInput, InferOutput, InferResponse
from sampan.runtimes.triton.shared_memory import SharedMemory

CLIENTS = pytest.mark.parametrize("module", [over_http, over_grpc], ids=["http", "grpc"])
ONES = np.ones((1, 16), np.int32)
NUMBERS = np.arange(16, dtype=np.int32).reshape(1, 16)


@pytest.fixture
async def client(tmp_path, module):
    root = write_simple(tmp_path)
    async with (
        serve(root, allow_shared_memory="true") as served,
        module.InferenceServerClient(served.address) as made,
    ):
        yield made


@pytest.fixture
def memory():
    """Yield a shared memory object of 256 bytes: two inputs, and room for two outputs."""
    key = f"/sampan-test-{uuid4().hex[:8]}"
    handle = shm.create_shared_memory_region("tensors", key, 256)
    shm.set_shared_memory_region(handle, [NUMBERS, ONES])
    yield key, handle
    shm.destroy_shared_memory_region(handle)


def shared_inputs(module):
    made = []
    for name, offset in (("INPUT0", 0), ("INPUT1", 64)):
        one = module.InferInput(name, [1, 16], "INT32")
        one.set_shared_memory("tensors", 64, offset)
        made.append(one)
    return made


def shared_output(module, name, size, offset):
    one = module.InferRequestedOutput(name)
    one.set_shared_memory("tensors", size, offset)
    return one


@CLIENTS
async def test_inputs_and_outputs_lie_in_shared_memory(client, module, memory):
    key, handle = memory
    await client.register_system_shared_memory("tensors", key, 256)
    outputs = [
        shared_output(module, "OUTPUT0", 64, 128), shared_output(module, "OUTPUT1", 64, 192)
    ]  # fmt: skip
    answer = await client.infer("simple", shared_inputs(module), outputs=outputs)
    told = answer.get_output("OUTPUT1")
    parameters = told["parameters"] if isinstance(told, dict) else told.parameters
    assert isinstance(told, dict) is (module is over_http)
    if module is over_http:
        assert "data" not in told
    else:
        assert list(answer.get_response().raw_output_contents) == [b"", b""]
    assert set(parameters) == {
        "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"
    }  # fmt: skip
    for offset, wanted in ((128, SUM), (192, DIFFERENCE)):
        written = shm.get_contents_as_numpy(handle, np.int32, [1, 16], offset)
        assert written.tolist() == [wanted]


@CLIENTS
async def test_one_input_is_sent_and_one_shared_one_output_written_and_one_sent(
    client, module, memory
):
    key, handle = memory
    await client.register_system_shared_memory("tensors", key, 256)
    inputs = [shared_inputs(module)[0], given(module)[1]]
    outputs = [
        shared_output(module, "OUTPUT0", 64, 128), module.InferRequestedOutput("OUTPUT1")
    ]  # fmt: skip
    answer = await client.infer("simple", inputs, outputs=outputs)
    assert answer.as_numpy("OUTPUT1").tolist() == [DIFFERENCE]
    assert shm.get_contents_as_numpy(handle, np.int32, [1, 16], 128).tolist() == [SUM]


@CLIENTS
async def test_regions_are_told_and_forgotten(client, module, memory):
    async def names(name=""):
        told = await client.get_system_shared_memory_status(name)
        rows = told if isinstance(told, list) else list(told.regions.values())
        return [(one["name"], one["key"], int(one["offset"]), int(one["byte_size"]))
                if isinstance(one, dict) else (one.name, one.key, one.offset, one.byte_size)
                for one in sorted(rows, key=str)]  # fmt: skip

    key, _ = memory
    assert await names() == []
    await client.register_system_shared_memory("a", key, 128)
    await client.register_system_shared_memory("b", key, 64, offset=128)
    assert await names() == [("a", key, 0, 128), ("b", key, 128, 64)]
    assert await names("b") == [("b", key, 128, 64)]
    with pytest.raises(InferenceServerException, match="'a' is registered already"):
        await client.register_system_shared_memory("a", key, 128)
    await client.unregister_system_shared_memory("a")
    with pytest.raises(InferenceServerException, match="Unable to find shared memory region: 'a'"):
        await names("a")
    await client.unregister_system_shared_memory()
    assert await names() == []
    told = await client.get_cuda_shared_memory_status()
    assert not (told if isinstance(told, list) else told.regions)
    with pytest.raises(InferenceServerException, match="memory of GPUs is not shared"):
        await client.register_cuda_shared_memory("c", b"aGFuZGxl", 0, 64)


@CLIENTS
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(("gone", 64, 0), "Unable to find shared memory region: 'gone'", id="unknown"),
        pytest.param(("tensors", 64, 224), 'region "tensors" 256 bytes', id="past its end"),
        pytest.param(("tensors", 60, 0), "cannot reshape|buffer size", id="too few bytes"),
    ],
)
async def test_a_place_that_is_none_is_the_callers_fault(client, module, memory, change, words):
    await client.register_system_shared_memory("tensors", memory[0], 256)
    inputs = shared_inputs(module)
    inputs[0].set_shared_memory(*change)
    with pytest.raises(InferenceServerException, match=words):
        await client.infer("simple", inputs)
    small = [shared_output(module, "OUTPUT0", 8, 128)]
    with pytest.raises(InferenceServerException, match='"OUTPUT0" takes 64 bytes'):
        await client.infer("simple", shared_inputs(module), outputs=small)


@CLIENTS
async def test_it_is_off_unless_the_operator_lets_clients(tmp_path, module, memory):
    async with (
        serve(write_simple(tmp_path)) as served,
        module.InferenceServerClient(served.address) as made,
    ):
        with pytest.raises(InferenceServerException, match="--allow-shared-memory=true"):
            await made.register_system_shared_memory("tensors", memory[0], 256)
        with pytest.raises(InferenceServerException, match="Unable to find"):
            await made.infer("simple", shared_inputs(module))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param("/../etc/passwd", "give the name of a shared memory object", id="a path up"),
        pytest.param("/a/b", "give the name of a shared memory object", id="a path down"),
        pytest.param("", "give the name of a shared memory object", id="nothing"),
        pytest.param(5, "give the name of a shared memory object", id="a number"),
        pytest.param("/sampan-test-gone", "make the object", id="an object that is not there"),
    ],
)
def test_a_key_names_an_object_of_shared_memory_and_nothing_else(key, words):
    with pytest.raises(InvalidInput, match=words):
        SharedMemory(allowed=True).register("x", {"key": key, "byte_size": 8})


def test_a_link_out_of_shared_memory_is_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 64)
    link = Path("/dev/shm") / f"sampan-test-{uuid4().hex[:8]}"
    link.symlink_to(secret)
    try:
        with pytest.raises(InvalidInput, match="Unable to open"):
            SharedMemory(allowed=True).register("x", {"key": link.name, "byte_size": 8})
    finally:
        link.unlink()


def test_an_object_that_is_made_shorter_is_an_error_and_not_the_end(memory):
    key, _ = memory
    regions = SharedMemory(allowed=True)
    regions.register("tensors", {"key": key, "byte_size": 256})
    os.truncate(f"/dev/shm{key}", 8)
    with pytest.raises(InvalidInput, match="ends at byte 256"):
        regions.register("again", {"key": key, "byte_size": 256})
    tensor = InferInput(
        "x", [1, 16], "INT32", None,
        {"shared_memory_region": "tensors", "shared_memory_byte_size": 64},
    )  # fmt: skip
    regions.fill(type("Request", (), {"inputs": [tensor]})())
    with pytest.raises(InvalidInput):
        tensor.as_numpy()


def test_texts_are_shared_with_their_lengths(memory):
    key, handle = memory
    regions = SharedMemory(allowed=True)
    regions.register("tensors", {"key": key, "byte_size": 256})
    words = np.array([b"one", b"three"], dtype=object)
    raw = serialize_byte_tensor(words).item()
    shm.set_shared_memory_region(handle, [np.frombuffer(raw, np.uint8)])
    place = {"shared_memory_region": "tensors", "shared_memory_byte_size": len(raw)}
    tensor = InferInput("x", [2], "BYTES", None, place)
    regions.fill(type("Request", (), {"inputs": [tensor]})())
    assert tensor.as_numpy().tolist() == [b"one", b"three"]


def test_an_output_without_contents_that_are_elsewhere_is_still_a_fault():
    response = InferResponse("1", "m", [InferOutput("y", [1], "FP32")])
    with pytest.raises(InvalidInput, match="'data' field is missing for output 'y'"):
        encode_response(response, raw=True)
