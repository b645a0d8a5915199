"""A SignatureDef as TensorFlow Serving's metadata shows it in JSON. Pure."""

from __future__ import annotations

from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.runtimes.tensorflow.tensor_proto import NAMES


def show_signatures(protos: dict[str, Any]) -> JsonObject:
    """Return a SignatureDefMap of SignatureDefs by name."""
    return {"signature_def": {name: _signature(proto) for name, proto in protos.items()}}


def _signature(proto: Any) -> JsonObject:
    return {
        "inputs": {name: _tensor(info) for name, info in sorted(proto.inputs.items())},
        "outputs": {name: _tensor(info) for name, info in sorted(proto.outputs.items())},
        "method_name": proto.method_name,
        "defaults": {},
    }


def _tensor(info: Any) -> JsonObject:
    shape = info.tensor_shape
    return {
        "dtype": NAMES.get(info.dtype, str(info.dtype)),
        "tensor_shape": {
            "dim": [{"size": str(dim.size), "name": dim.name} for dim in shape.dim],
            "unknown_rank": shape.unknown_rank,
        },
        "name": info.name,
    }
