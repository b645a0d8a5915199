"""Our gRPC coding against Google's protobuf, whose messages are made from our own descriptors."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import tritonclient.grpc.service_pb2 as triton
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.protocol.bytes_tensor import deserialize_bytes_tensor
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import framing, messages, varints
from sampan.protocol.grpc.descriptors import describe_files, locate_symbols
from sampan.protocol.grpc.infer import Received, encode_response
from sampan.protocol.grpc.schema import MESSAGES
from sampan.protocol.grpc.status import RpcError, Status, encode_message, parse_timeout
from sampan.protocol.tensors import InferOutput, InferResponse, RequestedOutput

POOL = descriptor_pool.DescriptorPool()
for _file in describe_files().values():
    POOL.Add(descriptor_pb2.FileDescriptorProto.FromString(_file))


def oracle(name: str):
    """Return protobuf's class of a message."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


Request, Response = oracle("inference.ModelInferRequest"), oracle("inference.ModelInferResponse")
NUMBERS = {
    "BOOL": ("bool_contents", np.bool_),
    "INT8": ("int_contents", np.int8),
    "INT16": ("int_contents", np.int16),
    "INT32": ("int_contents", np.int32),
    "INT64": ("int64_contents", np.int64),
    "UINT8": ("uint_contents", np.uint8),
    "UINT16": ("uint_contents", np.uint16),
    "UINT32": ("uint_contents", np.uint32),
    "UINT64": ("uint64_contents", np.uint64),
    "FP32": ("fp32_contents", np.float32),
    "FP64": ("fp64_contents", np.float64),
}


def arrays(datatype: str):
    """Return a strategy of flat arrays of a datatype, both sides of NumPy's fast path."""
    dtype = np.dtype(NUMBERS[datatype][1])
    if dtype.kind == "b":
        element = st.booleans()
    elif dtype.kind == "f":
        element = st.floats(width=dtype.itemsize * 8, allow_nan=False)
    else:
        limits = np.iinfo(dtype)
        element = st.integers(int(limits.min), int(limits.max))
    return st.lists(element, max_size=80).map(lambda values: np.array(values, dtype))


@pytest.mark.parametrize("datatype", NUMBERS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_typed_and_raw_contents_of_protobuf_are_read(datatype, data):
    array = data.draw(arrays(datatype))
    typed = Request(model_name="m", id="7")
    one = typed.inputs.add(name="x", datatype=datatype, shape=[array.size])
    getattr(one.contents, NUMBERS[datatype][0]).extend(array.tolist())
    raw = Request(model_name="m", raw_input_contents=[array.tobytes()])
    raw.inputs.add(name="x", datatype=datatype, shape=[1, array.size])
    for message, shape in ((typed, (array.size,)), (raw, (1, array.size))):
        request = Received(message.SerializeToString()).fill()
        got = request.inputs[0].as_numpy()
        assert (got.shape, got.dtype) == (shape, array.dtype)
        np.testing.assert_array_equal(got.ravel(), array)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("datatype", NUMBERS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_protobuf_reads_our_outputs(datatype, raw, data):
    array = data.draw(arrays(datatype))
    output = InferOutput("y", [array.size], datatype)
    output.set_data_from_numpy(array)
    parts = encode_response(InferResponse("9", "m", [output]), raw=raw)
    got = Response.FromString(b"".join(parts))
    assert (got.model_name, got.id) == ("m", "9")
    assert (got.outputs[0].name, list(got.outputs[0].shape)) == ("y", [array.size])
    if raw:
        assert got.raw_output_contents == [array.tobytes()]
        assert got.outputs[0].parameters["binary_data_size"].int64_param == array.nbytes
    else:
        field = getattr(got.outputs[0].contents, NUMBERS[datatype][0])
        np.testing.assert_array_equal(np.array(list(field), array.dtype), array)


@given(st.lists(st.binary(max_size=9), max_size=9))
@settings(max_examples=50, deadline=None)
def test_bytes_tensors_go_both_ways(elements):
    message = Request(model_name="m")
    one = message.inputs.add(name="x", datatype="BYTES", shape=[len(elements)])
    one.contents.bytes_contents.extend(elements)
    array = Received(message.SerializeToString()).fill().inputs[0].as_numpy()
    assert array.tolist() == elements
    output = InferOutput("y", [len(elements)], "BYTES")
    output.set_data_from_numpy(array)
    for raw in (False, True):
        got = Response.FromString(
            b"".join(encode_response(InferResponse("", "m", [output]), raw=raw))
        )
        if raw:
            assert deserialize_bytes_tensor(got.raw_output_contents[0]) == elements
        else:
            assert list(got.outputs[0].contents.bytes_contents) == elements


def test_a_request_of_tritonclient_is_read_whole():
    message = triton.ModelInferRequest(model_name="m", model_version="2", id="i")
    message.parameters["f"].double_param = 0.5
    message.parameters["n"].int64_param = -3
    message.parameters["u"].uint64_param = 2**63
    message.parameters["s"].string_param = "é"
    message.parameters["b"].bool_param = True
    message.outputs.add(name="y").parameters["binary_data"].bool_param = True
    request = Received(message.SerializeToString()).request
    assert request.parameters == {"f": 0.5, "n": -3, "u": 2**63, "s": "é", "b": True}
    assert (request.model_name, request.model_version, request.id) == ("m", "2", "i")
    assert [(o.name, o.parameters) for o in request.request_outputs] == [
        ("y", {"binary_data": True})
    ]


def test_fp16_outputs_are_raw_whatever_came_in():
    half, single = InferOutput("h", [2], "FP16"), InferOutput("s", [1], "FP32")
    half.set_data_from_numpy(np.array([1, 2], np.float16))
    single.set_data_from_numpy(np.array([3], np.float32))
    parts = encode_response(InferResponse("", "m", [half, single]), raw=False)
    assert len(Response.FromString(b"".join(parts)).raw_output_contents) == 2


def test_requested_outputs_are_sent_in_their_order():
    outputs = []
    for name in "abc":
        outputs.append(InferOutput(name, [1], "INT32"))
        outputs[-1].set_data_from_numpy(np.array([1], np.int32))
    wanted = [RequestedOutput("c"), RequestedOutput("a")]
    response = InferResponse("", "m", outputs, requested_outputs=wanted)
    got = Response.FromString(b"".join(encode_response(response, raw=True)))
    assert [output.name for output in got.outputs] == ["c", "a"]
    response.requested_outputs = [RequestedOutput("z")]
    with pytest.raises(InvalidInput, match="Unexpected inference output 'z' for model 'm'"):
        encode_response(response, raw=True)


def infer(raw=(), **tensor) -> Request:
    message = Request(model_name="m", raw_input_contents=raw)
    contents = tensor.pop("contents", {})
    one = message.inputs.add(**{"name": "i", "datatype": "FP32", "shape": [1], **tensor})
    for field, values in contents.items():
        getattr(one.contents, field).extend(values)
    return message


WRONG = {
    "two raw contents for one input": (
        infer(raw=[b"1234", b"5678"]),
        r"\(1\) does not match the expected number of raw input contents \(2\) for model 'm'",
    ),
    "raw and typed contents": (
        infer(raw=[b"1234"], contents={"fp32_contents": [1]}),
        "contents field must not be specified when using raw_input_contents for input 'i'",
    ),
    "contents of another type": (
        infer(contents={"int_contents": [1]}),
        "input 'i' has datatype FP32 and int_contents; send fp32_contents",
    ),
    "too many numbers": (infer(contents={"fp32_contents": [1, 2]}), "cannot reshape"),
    "too few raw bytes": (infer(raw=[b"123"]), "multiple of element size"),
    "a number that the type does not hold": (
        infer(datatype="INT8", contents={"int_contents": [300]}),
        "input 'i' holds 300, which is no INT8; send -128 to 127",
    ),
    "FP16 that is typed": (infer(datatype="FP16", contents={"fp32_contents": [1]}), "raw"),
    "a datatype that is none": (infer(datatype="FP99"), "invalid datatype FP99"),
    "no contents": (infer(), "cannot reshape"),
}


@pytest.mark.parametrize(("message", "text"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_the_callers_fault(message, text):
    with pytest.raises(InvalidInput, match=text):
        Received(message.SerializeToString()).fill()


@given(st.binary(max_size=200), st.integers(0, 200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_request_or_invalid(junk, cut):
    sound = infer(contents={"fp32_contents": [1]}).SerializeToString()
    for data in (junk, sound[:cut], sound[:cut] + junk):
        try:
            Received(data).fill()
        except InvalidInput as error:
            assert str(error)  # noqa: PT017  # either outcome is sound


@given(st.lists(st.integers(0, 2**64 - 1), max_size=100))
@settings(max_examples=100, deadline=None)
def test_varints_come_back(values):
    array = np.array(values, np.uint64)
    coded = varints.encode(array)
    np.testing.assert_array_equal(varints.decode(coded, 0, len(coded)), array)
    assert varints.encode(array.view(np.int64)) == coded  # two's complement, as protobuf has it


def test_every_message_of_the_tables_goes_through_protobuf_and_back():
    samples = {
        "inference.ModelMetadataResponse": {
            "name": "m",
            "versions": ["1"],
            "platform": "",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [],
        },
        "inference.RepositoryIndexResponse": {
            "models": [{"name": "a", "version": "", "state": "Ready", "reason": ""}]
        },
        "inference.ServerReadyResponse": {"ready": True},
        "grpc.health.v1.HealthCheckResponse": {"status": 2},
        "grpc.reflection.v1.ErrorResponse": {"error_code": -5, "error_message": "é"},
    }
    for name, value in samples.items():
        coded = messages.encode(name, value)
        assert oracle(name).FromString(coded).SerializeToString(deterministic=True) == coded
        assert messages.decode(name, coded) == value
    for name in MESSAGES:
        if not any(field.mapped for field in MESSAGES[name]):
            assert messages.encode(name, messages.decode(name, b"")) == b""


def test_our_descriptors_agree_with_tritons_where_kserve_does():
    """An independent .proto: equal numbers and types for what both have."""
    for name in (
        "ModelInferRequest",
        "ModelInferResponse",
        "InferTensorContents",
        "InferParameter",
    ):
        ours = POOL.FindMessageTypeByName(f"inference.{name}")
        theirs = triton.DESCRIPTOR.message_types_by_name[name]
        assert [(f.name, f.number, f.type) for f in ours.fields] == [
            (f.name, f.number, f.type) for f in theirs.fields
        ]


def test_symbols_are_found_in_their_files():
    symbols = locate_symbols()
    assert symbols["inference.GRPCInferenceService.ModelInfer"] == "grpc_predict_v2.proto"
    assert symbols["grpc.health.v1.HealthCheckResponse.ServingStatus"].endswith("health.proto")


FRAMES = {
    "plain": (framing.pack(b"abc"), b"", b"abc"),
    "gzip": (b"\x01" + framing.pack(gzip.compress(b"abc"))[1:], b"gzip", b"abc"),
    "flagged with identity": (b"\x01" + framing.pack(b"abc")[1:], b"identity", Status.INTERNAL),
    "another compression": (b"\x01" + framing.pack(b"abc")[1:], b"br", Status.UNIMPLEMENTED),
    "gzip that is none": (b"\x01" + framing.pack(b"abc")[1:], b"gzip", Status.INTERNAL),
    "gzip that breaks off": (
        b"\x01" + framing.pack(gzip.compress(b"abc")[:-9])[1:],
        b"gzip",
        Status.INTERNAL,
    ),
    "nothing": (b"", b"", Status.INVALID_ARGUMENT),
    "a length that is not true": (framing.pack(b"abc") + b"d", b"", Status.INVALID_ARGUMENT),
    "too large": (framing.pack(bytes(101)), b"", Status.RESOURCE_EXHAUSTED),
    "a gzip bomb": (
        b"\x01" + framing.pack(gzip.compress(bytes(10**6)))[1:],
        b"gzip",
        Status.RESOURCE_EXHAUSTED,
    ),
}


@pytest.mark.parametrize(("body", "encoding", "expected"), FRAMES.values(), ids=FRAMES)
def test_a_unary_body_is_one_message(body, encoding, expected):
    most = 2000 if "bomb" in str(expected) or len(body) > 200 else 100
    if isinstance(expected, bytes):
        assert framing.unpack_one(body, encoding, most) == expected
        return
    with pytest.raises(RpcError) as raised:
        framing.unpack_one(body, encoding, most)
    assert raised.value.code is expected


@given(st.lists(st.binary(max_size=30), max_size=6), st.integers(1, 9))
def test_a_stream_of_messages_is_taken_apart_however_it_is_cut(sent, step):
    unpacker, got = framing.Unpacker(b"", 100), []
    stream = b"".join(map(framing.pack, sent))
    for at in range(0, len(stream), step):
        unpacker.feed(stream[at : at + step])
        while (found := unpacker.next()) is not None:
            got.append(found[0])
    assert (got, unpacker.waiting) == (sent, 0)


@pytest.mark.parametrize(
    ("value", "seconds"), [("1H", 3600), ("2M", 120), ("3S", 3), ("4m", 0.004), ("5u", 5e-6)]
)
def test_timeouts_are_read(value, seconds):
    assert parse_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "1", "S", "1.5S", "-1S", "123456789S", "\u0661S"])
def test_what_is_no_timeout_is_said_so(value):
    with pytest.raises(RpcError, match="grpc-timeout is"):
        parse_timeout(value)


def test_status_messages_are_percent_encoded():
    assert encode_message('é 100%\n"a"') == b'%C3%A9 100%25%0A"a"'
    assert len(encode_message("x" * 10_000)) == 4096
