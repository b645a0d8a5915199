"""KServe's `InferenceGRPCClient` against Sampan's own gRPC, and the form of its messages."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sampan.client.calls import make_request
from sampan.protocol.grpc.client_form import decode_response, encode_request
from sampan.protocol.grpc.infer import Received, encode_response
from sampan.protocol.tensors import InferOutput, InferResponse

pytest.importorskip("grpc")

MODEL = """
from sampan.sdk import Model, get_predict_input, get_predict_response

class Sum(Model):
    def predict(self, payload, headers=None):
        return get_predict_response(payload, get_predict_input(payload).sum(axis=1), self.name)
"""
ARRAYS = arrays.arrays(
    st.sampled_from(["f2", "f4", "f8", "i1", "i4", "i8", "u2", "u8", "?"]),
    arrays.array_shapes(max_dims=3, max_side=4),
    elements={"allow_nan": False},
)


@given(ARRAYS)
def test_what_is_sent_is_what_the_server_reads(array):
    request = make_request("m", {"x": array})
    request.parameters = {"a": 1, "b": "two", "c": True}
    read = Received(encode_request(request)).fill()
    assert (read.model_name, read.parameters) == ("m", request.parameters)
    np.testing.assert_array_equal(read.inputs[0].as_numpy(), array)


@given(ARRAYS, st.booleans())
def test_what_the_server_sends_is_what_is_read(array, raw):
    sent = make_request("m", {"x": array}).inputs[0]
    output = InferOutput("x", sent.shape, sent.datatype)
    output.set_data_from_numpy(array)
    read = decode_response(b"".join(encode_response(InferResponse("7", "m", [output]), raw=raw)))
    assert (read.id, read.model_name) == ("7", "m")
    np.testing.assert_array_equal(read.outputs[0].as_numpy(), array)


@pytest.fixture
def port(tmp_path):
    (tmp_path / "m.py").write_text(MODEL)
    words = ["-m", "sampan.app.serve", "m.py:Sum", "--http_port=0", "--grpc_port=0"]
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, *words], cwd=tmp_path, stderr=out)
    found, end = None, time.monotonic() + 20
    while found is None and time.monotonic() < end:
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text())
        time.sleep(0.05)
    yield found and found[1]
    process.terminate()
    process.wait(10)


async def test_a_real_server_answers(port):
    from sampan.client.grpc import InferenceGRPCClient

    async with InferenceGRPCClient(f"127.0.0.1:{port}") as client:
        answer = await client.infer(make_request("m", {"x": np.array([[1, 2], [3, 4]])}))
        assert answer.outputs[0].data == [3, 7]
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("m")
