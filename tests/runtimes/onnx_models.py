"""ONNX models for tests, made with the onnx package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
STRING = TensorProto.STRING
WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)
BIAS = np.array([0.5, -1.0, 2.0], dtype=np.float32)


def value(name: str, kind: int, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def constant(name: str, array: Any) -> Any:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor(name, kind, array.shape, array.ravel())


def model(nodes: list[Any], inputs: Any, outputs: Any, constants: Any = (), **kind: Any) -> Any:
    graph = helper.make_graph(nodes, "g", inputs, outputs, [constant(*pair) for pair in constants])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", kind.get("opset", 17))])
    made.ir_version = kind.get("ir", 8)
    return made


def linear(rows: Any = "N", **kind: Any) -> ModelProto:
    """Return `y = x @ WEIGHTS + BIAS` of four numbers a row."""
    return model(
        [
            helper.make_node("MatMul", ["x", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["y"]),
        ],
        [value("x", FLOAT, rows, 4)],
        [value("y", FLOAT, rows, 3)],
        [("weights", WEIGHTS), ("bias", BIAS)],
        **kind,
    )


def add_sub(kind: int = FLOAT, size: int = 16) -> ModelProto:
    """Return sum and difference of two inputs: Triton's example "simple"."""
    return model(
        [
            helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
            helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
        ],
        [value("INPUT0", kind, "N", size), value("INPUT1", kind, "N", size)],
        [value("OUTPUT0", kind, "N", size), value("OUTPUT1", kind, "N", size)],
    )


def over_rows() -> ModelProto:
    """Return a softmax over the first axis: no row stands alone."""
    return model(
        [helper.make_node("Softmax", ["x"], ["y"], axis=0)],
        [value("x", FLOAT, "N", 4)],
        [value("y", FLOAT, "N", 4)],
    )


def same(kind: int, *shape: Any) -> ModelProto:
    """Return the identity of any datatype."""
    return model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [value("x", kind, *shape)],
        [value("y", kind, *shape)],
    )


def outside(location: str) -> ModelProto:
    """Return a linear model that reads its weights from another file."""
    made = linear()
    tensor = made.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "0"), ("length", "48")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, text
    return made


def save(made: ModelProto, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.SerializeToString())
    return path
