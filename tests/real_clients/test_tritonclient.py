"""NVIDIA's `tritonclient`, HTTP and gRPC, JSON and binary, every datatype.

It comes with MLServer, whose environment it is taken from: its HTTP client needs gevent, which
wants no part of this one.
"""

from __future__ import annotations

import pytest
from bench.peers import peer_python
from bench.setting import Setting
from tests.conformance.oip.score import MLSERVER

pytestmark = pytest.mark.slow

COMMON = """
import json, sys
import numpy as np
import tritonclient.{kind} as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])
rows = np.array([[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]], dtype=np.float32)
tensor = triton.InferInput("input-0", [2, 4], "FP32")
"""
HEALTH = """
told = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model": client.is_model_ready("sklearn-iris"),
}
try:
    told["none"] = client.is_model_ready("none")
except InferenceServerException as error:
    told["none"] = error.status()
print(json.dumps(told))
"""
HTTP_INFER = """
told = []
for binary_in in (True, False):
    tensor.set_data_from_numpy(rows, binary_data=binary_in)
    for binary_out in (True, False):
        asked = [triton.InferRequestedOutput("output-0", binary_data=binary_out)]
        result = client.infer("sklearn-iris", [tensor], request_id="7", outputs=asked)
        assert result.get_response()["id"] == "7", result.get_response()
        told.append(result.as_numpy("output-0").tolist())
tensor.set_data_from_numpy(rows)
result = client.infer("sklearn-iris", [tensor])  # asks for binary outputs, all of them
told.append(result.as_numpy("output-0").tolist())
for algorithm in ("gzip", "deflate"):
    try:
        client.infer("sklearn-iris", [tensor], request_compression_algorithm=algorithm)
        told.append("taken")
    except InferenceServerException as error:
        told.append(error.status())
print(json.dumps(told))
"""
HTTP_LATER = """
tensor.set_data_from_numpy(rows)
waiting = [client.async_infer("sklearn-iris", [tensor]) for _ in range(20)]
told = [later.get_result().as_numpy("output-0").tolist() for later in waiting]
print(json.dumps(told))
"""
GRPC_INFER = """
tensor.set_data_from_numpy(rows)
asked = [triton.InferRequestedOutput("output-0")]
told = [
    client.infer("sklearn-iris", [tensor], outputs=found).as_numpy("output-0").tolist()
    for found in (None, asked)
]
print(json.dumps(told))
"""
EVERY_DATATYPE = """
arrays = {
    "BOOL": np.array([True, False]), "INT8": np.array([-128, 127], np.int8),
    "INT16": np.array([-5, 5], np.int16), "INT32": np.array([-5, 5], np.int32),
    "INT64": np.array([-(2**63), 2**63 - 1]), "UINT8": np.array([0, 255], np.uint8),
    "UINT16": np.array([0, 65535], np.uint16), "UINT32": np.array([0, 2**32 - 1], np.uint32),
    "UINT64": np.array([0, 2**64 - 1], np.uint64), "FP16": np.array([1.5, -2.5], np.float16),
    "FP32": np.array([1.5, -2.5], np.float32), "FP64": np.array([1e300, 0.1]),
    "BYTES": np.array([b"ab", "\\u00e9".encode()], object),
}
wrong = []
for datatype, array in arrays.items():
    tensor = triton.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    back = client.infer("echo", [tensor]).as_numpy("x")
    if back is None or back.shape != array.shape or back.tolist() != array.tolist():
        wrong.append([datatype, repr(back)])
empty = triton.InferInput("x", [0, 3], "FP32")
empty.set_data_from_numpy(np.zeros((0, 3), np.float32))
if client.infer("echo", [empty]).as_numpy("x").shape != (0, 3):
    wrong.append("empty")
print(json.dumps(wrong))
"""
ERRORS = """
told = []
tensor.set_data_from_numpy(rows)
for model, asked in (("none", None), ("sklearn-iris", [triton.InferRequestedOutput("other")])):
    try:
        client.infer(model, [tensor], outputs=asked)
    except InferenceServerException as error:
        told.append([error.status(), error.message()])
print(json.dumps(told))
"""
REPOSITORY = """
client.load_model("sklearn-iris")
index = client.get_model_repository_index({json})
models = index if isinstance(index, list) else index["models"]
print(json.dumps([
    sorted((model["name"], model["state"]) for model in models),
    client.get_server_metadata({json})["name"],
    client.get_model_metadata("echo", {json})["name"],
]))
"""
KINDS = pytest.mark.parametrize("kind", ["http", "grpc"])


@pytest.fixture
def triton(served, ask_with):
    """`triton(kind, program)` runs a program with a client at hand; returns what it prints."""
    python = peer_python(Setting(), MLSERVER)

    def ask(kind: str, program: str):
        words = COMMON.replace("{kind}", kind) + program
        return ask_with(python, words, f"127.0.0.1:{served.port}")

    return ask


@pytest.mark.parametrize(("kind", "none"), [("http", False), ("grpc", "StatusCode.NOT_FOUND")])
def test_health(triton, kind, none):
    assert triton(kind, HEALTH) == {"live": True, "ready": True, "model": True, "none": none}


def test_http_infers_with_json_and_binary_both_ways(triton):
    told = triton("http", HTTP_INFER)
    assert told[:5] == [[1, 1]] * 5
    assert told[5:] == ["415", "415"], "compressed bodies are refused by name"


def test_http_infers_later(triton):
    assert triton("http", HTTP_LATER) == [[1, 1]] * 20


def test_grpc_infers(triton):
    assert triton("grpc", GRPC_INFER) == [[1, 1]] * 2


@KINDS
def test_every_datatype_comes_back_as_it_went(triton, kind):
    assert triton(kind, EVERY_DATATYPE) == []


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("http", ["404", "400"]),
        ("grpc", ["StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT"]),
    ],
)
def test_errors_have_their_code_and_words(triton, kind, codes):
    told = triton(kind, ERRORS)
    assert [code for code, _ in told] == codes
    assert told[0][1] == "Model with name none does not exist."
    assert "Unexpected inference output 'other' for model 'sklearn-iris'" in told[1][1]


@KINDS
def test_the_repository_is_listed_and_loaded(triton, kind):
    options = "" if kind == "http" else "as_json=True"
    models, server, model = triton(kind, REPOSITORY.replace("{json}", options))
    assert models == [["echo", "Ready"], ["sklearn-iris", "Ready"]]
    assert (server, model) == ("sampan", "echo")
