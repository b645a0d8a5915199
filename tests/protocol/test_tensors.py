"""Tensors and V2 messages without a wire: what goes in comes out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sampan.protocol import json_out, v2
from sampan.protocol.bytes_tensor import deserialize_bytes_tensor, serialize_byte_tensor
from sampan.protocol.datatypes import NUMPY_NAMES, from_np_dtype, to_np_dtype
from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.tensors import InferInput, InferOutput, InferResponse, RequestedOutput

NUMBERS = [name for name in NUMPY_NAMES if name != "BYTES"]


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_a_bytes_tensor_survives_its_raw_form(elements):
    assert deserialize_bytes_tensor(serialize_byte_tensor(elements)) == elements


@given(st.binary(max_size=40))
def test_raw_bytes_tensors_are_read_or_refused(raw):
    try:
        elements = deserialize_bytes_tensor(raw)
    except InvalidInput:
        return
    assert serialize_byte_tensor(elements) == raw


@pytest.mark.parametrize("datatype", NUMPY_NAMES)
def test_each_datatype_has_a_dtype_and_back(datatype):
    assert from_np_dtype(to_np_dtype(datatype)) == datatype


@pytest.mark.parametrize("dtype", ["U3", "S3", "M8[s]", "O"])
def test_what_is_text_or_time_travels_as_bytes(dtype):
    assert from_np_dtype(np.dtype(dtype)) == "BYTES"


def test_a_dtype_without_datatype_is_none():
    assert from_np_dtype(np.dtype("c16")) is None


@given(
    st.sampled_from(NUMBERS).flatmap(
        lambda datatype: arrays.arrays(
            NUMPY_NAMES[datatype], arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)
        )
    )
)
def test_every_array_survives_the_binary_form(array):
    output = InferOutput("o", list(array.shape), from_np_dtype(array.dtype) or "")
    output.set_data_from_numpy(array)
    body, length = v2.encode(InferResponse("1", "m", [output], use_binary_outputs=True))
    assert length is not None
    head = json.loads(body[:length])["outputs"][0]
    tensor = InferInput("o", head["shape"], head["datatype"])
    tensor.set_raw(memoryview(body)[length:])
    back = tensor.as_numpy()
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


@given(
    st.sampled_from([name for name in NUMBERS if name != "FP16"]).flatmap(
        lambda datatype: arrays.arrays(
            NUMPY_NAMES[datatype],
            arrays.array_shapes(max_dims=3),
            elements={"allow_nan": False, "allow_infinity": False} if datatype[0] == "F" else None,
        )
    )
)
def test_json_holds_the_very_text_that_tolist_gives(array):
    output = InferOutput("o", list(array.shape), from_np_dtype(array.dtype) or "")
    output.set_data_from_numpy(array)
    body, length = v2.encode(InferResponse("1", "m", [output]))
    assert length is None
    data = json.loads(body)["outputs"][0]["data"]
    assert data == array.ravel().tolist()
    request = json.dumps(
        {"inputs": [{"name": "o", "shape": list(array.shape), "datatype": output.datatype,
                     "data": data}]}
    )  # fmt: skip
    back = v2.decode(request.encode(), b"application/json", None, "m").inputs[0].as_numpy()
    assert np.array_equal(back, array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.arange(6)[::2],
        np.array([1, 2], ">i4"),
        np.array(["a", "b"]),
        np.array([["a", 1], [None, 2.5]], dtype=object),
        np.array([True, False]),
        np.float32([0.1, 3.4e38]),
        np.array([2**64 - 1], np.uint64),
        np.array([np.nan, np.inf]),
    ],
    ids=str,
)
def test_any_array_is_written_as_its_list(array):
    assert json_out.dumps(json_out.json_ready(array)) == json_out.dumps(array.tolist())


def test_an_output_with_contents_of_another_shape_or_type_is_refused():
    output = InferOutput("o", [2], "FP32")
    with pytest.raises(InferenceError, match="got unexpected datatype FP64"):
        output.set_data_from_numpy(np.zeros(2))
    with pytest.raises(InferenceError, match="got unexpected numpy array shape"):
        output.set_data_from_numpy(np.zeros(3, np.float32))


def test_an_output_without_contents_is_named():
    with pytest.raises(InvalidInput, match="'data' field is missing for output 'o' for model 'm'"):
        v2.encode(InferResponse("1", "m", [InferOutput("o", [1], "FP32")]))


def test_binary_data_of_an_output_overrides_that_of_the_request():
    output = InferOutput("o", [1], "INT8")
    output.set_data_from_numpy(np.zeros(1, np.int8))
    requested = [RequestedOutput("o", {"binary_data": False})]
    response = InferResponse(
        "1", "m", [output], use_binary_outputs=True, requested_outputs=requested
    )
    assert v2.encode(response)[1] is None


def test_several_binary_inputs_are_cut_in_order():
    head = json.dumps(
        {
            "inputs": [
                {"name": "a", "shape": [2], "datatype": "INT8",
                 "parameters": {"binary_data_size": 2, "keep": 1}},
                {"name": "b", "shape": [1], "datatype": "FP32", "data": [1.5]},
                {"name": "c", "shape": [1], "datatype": "BYTES",
                 "parameters": {"binary_data_size": 6}},
            ]
        }
    ).encode()  # fmt: skip
    raw = b"\x01\x02" + b"\x02\0\0\0xy"
    request = v2.decode(head + raw, None, b"%d" % len(head), "m")
    assert [tensor.data for tensor in request.inputs] == [[1, 2], [1.5], ["xy"]]
    assert request.inputs[0].parameters == {"keep": 1}
    assert request.inputs[2].as_string() == ["xy"]
