"""A large JSON request read straight into arrays equals the same request read the usual way."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.protocol import v2, v2_arrays
from sampan.protocol.errors import InvalidInput, InvalidRequestBody

NUMBERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64")


@pytest.fixture(autouse=True)
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small bodies take the way of large ones."""
    monkeypatch.setattr(v2_arrays, "WORTH_BYTES", 0)


def body_of(*inputs: dict[str, Any], **more: Any) -> bytes:
    return orjson.dumps({"inputs": list(inputs), **more})


def tensor(data: list[Any], datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [len(data)], "datatype": datatype, "data": data, **more}


def usual(body: bytes) -> Any:
    return v2.decode(body, b"application/json", None, "m")


def assert_same(fast: Any, slow: Any) -> None:
    assert len(fast.inputs) == len(slow.inputs)
    for mine, theirs in zip(fast.inputs, slow.inputs, strict=True):
        assert (mine.name, mine.shape, mine.datatype) == (
            theirs.name,
            theirs.shape,
            theirs.datatype,
        )
        assert mine.parameters == theirs.parameters
        assert mine.form == theirs.form == "flat"
        one, other = mine.as_numpy(), theirs.as_numpy()
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()
        assert repr(mine.data) == repr(theirs.data)
    assert (fast.id, fast.parameters, fast.model_name) == (
        slow.id,
        slow.parameters,
        slow.model_name,
    )
    outputs = [[(o.name, o.parameters) for o in r.request_outputs or ()] for r in (fast, slow)]
    assert outputs[0] == outputs[1]


SOUND = {
    "an image": body_of(tensor([0.1, 2, -3.5e-9, 0.0, -0.0, 1e30])),
    "whole numbers as FP64, one beyond 53 bits": body_of(tensor([1, 2**53 + 1, -4], "FP64")),
    "the largest UINT64": body_of(tensor([2**64 - 1, 0], "UINT64")),
    "the bounds of INT8": body_of(tensor([-128, 127], "INT8")),
    "two inputs": body_of(tensor([1.5]), {**tensor([1, 2], "INT64"), "name": "y"}),
    "a shape of several dimensions": body_of({**tensor([1, 2, 3, 4, 5, 6]), "shape": [1, 2, 3]}),
    "no elements": body_of({**tensor([]), "shape": [0, 3]}),
    "an id, parameters and requested outputs": body_of(
        tensor([1.0], parameters={"a": 1, "b": "c"}),
        id="7",
        parameters={"binary_data_output": True},
        outputs=[{"name": "y", "parameters": {"binary_data": False}}],
    ),
    "an empty list of outputs": body_of(tensor([1.0]), outputs=[]),
    "a datatype in lower case": body_of(tensor([1.0], "fp32")),
    "a size given as text": body_of({**tensor([1.0, 2.0]), "shape": ["2"]}),
    "members nobody knows": body_of(tensor([1.0], extra={"deep": {"er": 1}}), other=None),
}

LEFT = {
    "nested data": body_of({**tensor([[1.0, 2.0]]), "shape": [1, 2]}),
    "ragged data of the right count": body_of({**tensor([1.0, [2.0]]), "shape": [2]}),
    "a bracket in a name": body_of({**tensor([1.0]), "name": "x["}),
    "text": body_of(tensor(["a"], "BYTES")),
    "truth values": body_of(tensor([True, False], "BOOL")),
    "a truth value among numbers": body_of(tensor([1.0, True])),
    "null among numbers": body_of(tensor([1.0, None])),
    "a fraction where whole numbers belong": body_of(tensor([1.5], "INT32")),
    "a number beyond its datatype": body_of(tensor([128], "INT8")),
    "a negative number where none is": body_of(tensor([-1], "UINT8")),
    "a number beyond FP32": body_of(tensor([1e39])),
    "a number beyond 64 bits": body_of(tensor([2.0])).replace(b"2.0", b"36893488147419103232"),
    "NaN": body_of(tensor([2.0])).replace(b"2.0", b"NaN"),
    "too few numbers": body_of({**tensor([1.0]), "shape": [2]}),
    "a negative size": body_of({**tensor([1.0]), "shape": [-1]}),
    "two unknown sizes": body_of({**tensor([1.0]), "shape": [-1, -1]}),
    "no data": body_of({"name": "x", "shape": [1], "datatype": "FP32"}),
    "data that is no list": body_of({**tensor([1.0]), "data": {"a": 1}}),
    "no inputs": b'{"id": "a"}',
    "inputs that are no list": b'{"inputs": {"data": 1}}',
    "an unknown datatype": body_of(tensor([1.0], "FP8")),
    "FP16, which JSON does not carry": body_of(tensor([1.0], "FP16")),
    "a broken end": body_of(tensor([1.0]))[:-1],
    "words after the end": body_of(tensor([1.0])) + b"x",
    "a byte order mark": b"\xef\xbb\xbf" + body_of(tensor([1.0])),
    "text that is no UTF-8": body_of(tensor([1.0])).replace(b'"x"', b'"\xff"'),
    "a list": b"[1, 2]",
    "nothing": b"",
    "a repeated member": b'{"inputs": [{"name": "x", "shape": [1], "datatype": '
    b'"FP32", "data": [1.0], "name": "z"}], "id": "a", "id": "b"}',
    "a parameter that is a list": body_of(tensor([1.0], parameters={"a": [1]})),
}


@pytest.mark.parametrize("body", SOUND.values(), ids=SOUND)
def test_what_is_sound_is_read_as_the_usual_way_reads_it(body: bytes) -> None:
    fast = v2_arrays.decode_arrays(body, "m")
    assert fast is not None
    assert_same(fast, usual(body))


@pytest.mark.parametrize("body", LEFT.values(), ids=LEFT)
def test_everything_else_is_left_to_the_usual_way(body: bytes) -> None:
    read = v2_arrays.decode_arrays(body, "m")
    if read is None:
        return
    assert_same(read, usual(body))  # a negative size stands for what is left: both read it so
    assert any(size < 0 for size in read.inputs[0].shape)


@given(
    st.sampled_from(NUMBERS),
    st.lists(
        st.one_of(
            st.integers(-(2**65), 2**65),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.none(),
        ),
        max_size=20,
    ),
)
def test_whatever_is_read_equals_the_usual_reading(datatype: str, data: list[Any]) -> None:
    body = json.dumps({"inputs": [tensor(data, datatype)]}).encode()
    fast = v2_arrays.decode_arrays(body, "m")
    if fast is not None:
        assert_same(fast, usual(body))
    elif all(type(item) is float for item in data) and datatype == "FP64":
        pytest.fail("sound numbers were not read")


@given(st.data())
def test_a_damaged_body_is_never_read_otherwise(draw: st.DataObject) -> None:
    body = bytearray(SOUND["an id, parameters and requested outputs"])
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(body) - 1))
        body[at] = draw.draw(st.sampled_from(list(b'[]{}",:019.eE-+ntx \\\x00\xff')))
    fast = v2_arrays.decode_arrays(bytes(body), "m")
    if fast is None:
        return
    try:
        slow = usual(bytes(body))
    except (InvalidInput, InvalidRequestBody) as error:
        pytest.fail(f"read what the usual way refuses: {error}")
    assert_same(fast, slow)


def test_a_list_is_made_only_when_it_is_asked_for_and_is_as_sent() -> None:
    fast = v2_arrays.decode_arrays(body_of(tensor([1, 0.1])), "m")
    assert fast is not None
    (one,) = fast.inputs
    assert one.as_numpy().dtype == np.float32
    assert one.data == [1, 0.1]
    assert type(one.data[0]) is int
    one.data = [3.0, 4.0]
    assert one.as_numpy().tolist() == [3.0, 4.0]
    assert math.isclose(one.data[1], 4.0)


def test_a_small_body_is_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v2_arrays, "WORTH_BYTES", 10_000)
    assert v2_arrays.decode_arrays(body_of(tensor([1.0])), "m") is None
