"""Messages that look alike are walked once: with what was learnt they read as without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc.infer import Received
from sampan.protocol.grpc.layouts import Layouts

CONTENTS = {
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT64": "int64_contents",
    "BYTES": "bytes_contents",
}


def make_message(draw: Any, *, names: tuple[str, ...] = ("a", "bb")) -> bytes:
    """Return a request of few forms, so that many of a run look alike."""
    message = service_pb2.ModelInferRequest(
        model_name=draw(st.sampled_from(names)), id=draw(st.sampled_from(["", "1", "2", "é"]))
    )
    if draw(st.booleans()):
        message.parameters["p"].int64_param = draw(st.integers(0, 1))
    if draw(st.booleans()):
        message.outputs.add(name="y").parameters["binary_data"].bool_param = True
    raw = draw(st.booleans())
    for name in "xz"[: draw(st.integers(0, 2))]:
        datatype = draw(st.sampled_from(["FP32", "FP64", "INT64", "BYTES"]))
        shape = draw(st.sampled_from([[2], [1, 2], [2, 1], [3], [0], [-1], []]))
        tensor = message.inputs.add(name=name, datatype=datatype, shape=shape)
        values = draw(st.lists(st.integers(0, 300), min_size=2, max_size=2))
        if datatype == "BYTES":
            getattr(tensor.contents, CONTENTS[datatype]).extend(b"%d" % v for v in values)
        elif raw:
            kind = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64}[datatype]
            message.raw_input_contents.append(np.array(values, kind).tobytes())
        else:
            getattr(tensor.contents, CONTENTS[datatype]).extend(values)
    return bytes(message.SerializeToString())


def read(data: bytes, layouts: Layouts | None) -> tuple[Any, ...]:
    """Return all that a message says, or the words it is refused with."""
    try:
        received = Received(data, layouts)
        request = received.fill()
    except InvalidInput as error:
        return ("refused", str(error))
    return (
        received.is_raw,
        request.model_name,
        request.model_version,
        request.id,
        request.parameters,
        [(o.name, o.parameters) for o in request.request_outputs or ()],
        [
            (
                t.name,
                t.shape,
                t.datatype,
                t.parameters,
                t.as_numpy().dtype,
                t.as_numpy().shape,
                repr(t.as_numpy().tolist()),
            )  # NaN is not equal to itself, but is written alike
            for t in request.inputs
        ],
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_was_learnt_changes_nothing_of_what_is_read(data: st.DataObject) -> None:
    layouts = Layouts()
    for _ in range(data.draw(st.integers(2, 25))):
        message = make_message(data.draw)
        if data.draw(st.integers(0, 4)) == 0 and message:  # one accident, of the same length
            at = data.draw(st.integers(0, len(message) - 1))
            message = message[:at] + bytes((data.draw(st.integers(0, 255)),)) + message[at + 1 :]
        assert read(message, layouts) == read(message, None)
        assert read(message, layouts) == read(message, None)


def test_a_message_that_looks_alike_is_known() -> None:
    layouts = Layouts()
    first, second = (ask(request_id, value) for request_id, value in (("17", 1.0), ("18", 2.0)))
    Received(first, layouts)
    assert layouts.find(second) is not None
    assert layouts.find(second.replace(b"FP32", b"FP64")) is None
    assert Received(second, layouts).fill().inputs[0].as_numpy().tolist() == [2.0]
    assert Received(second, layouts).request.id == "18"


@pytest.mark.parametrize("part", ["shape", "parameters"])
def test_who_changes_a_request_changes_no_other(part: str) -> None:
    layouts = Layouts()
    for _ in range(3):
        tensor = Received(ask("1", 1.0), layouts).fill().inputs[0]
        assert (tensor.shape, tensor.parameters) == ([1], {"k": True})
        if part == "shape":
            tensor.shape.append(9)
        else:
            assert tensor.parameters is not None
            tensor.parameters["k"] = "changed"


def test_lengths_that_never_come_again_are_forgotten() -> None:
    layouts = Layouts()
    for length in range(1000):
        Received(ask("i" * length, 1.0), layouts)
    kept = [length for length in range(1000) if layouts.find(ask("i" * length, 2.0)) is not None]
    assert 0 < len(kept) <= 128


def ask(request_id: str, value: float) -> bytes:
    message = service_pb2.ModelInferRequest(model_name="m", id=request_id)
    tensor = message.inputs.add(name="x", datatype="FP32", shape=[1])
    tensor.parameters["k"].bool_param = True
    tensor.contents.fp32_contents.append(value)
    return bytes(message.SerializeToString())
