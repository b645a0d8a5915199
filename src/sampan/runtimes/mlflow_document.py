"""The `MLmodel` file: which loader a model has, and the signature it promises. Pure but for YAML.

Format: MLflow, "MLflow Models" (storage format, signatures). Only what is needed to serve is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.runtimes.tabular_values import Field
from sampan.server.load_failure import LoadFailure

NAME = "MLmodel"
_KINDS = {
    "double": "number",
    "float": "number",
    "long": "whole",
    "integer": "whole",
    "boolean": "truth",
    "string": "text",
}
"""MLflow's column types; what is none of them is read by `mlflow_columns`, or passes as it is."""
_DTYPES = {
    "double": "f8",
    "float": "f4",
    "long": "i8",
    "integer": "i4",
    "boolean": "?",
    "string": "O",
}
_DATATYPES = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
}
_TENSOR_DATATYPES = {
    "float64": "FP64", "float32": "FP32", "float16": "FP16",
    "int64": "INT64", "int32": "INT32", "int16": "INT16", "int8": "INT8",
    "uint64": "UINT64", "uint32": "UINT32", "uint16": "UINT16", "uint8": "UINT8", "bool": "BOOL",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column or tensor of a signature. `dtype` is NumPy's, `shape` without columns' `[-1, 1]`."""

    field: Field
    dtype: str
    datatype: str
    shape: tuple[int, ...] = ()
    kind: str = ""
    """MLflow's own type of a column: `datetime`; empty for a tensor."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is read of an MLmodel file. Without a signature `inputs` is None."""

    version: str
    loader: str
    flavors: Mapping[str, Mapping[str, Any]]
    inputs: tuple[Column, ...] | None = None
    outputs: tuple[Column, ...] = ()
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the signature declares of `params`, by name: type, default, shape."""

    @property
    def python_function(self) -> Mapping[str, Any]:
        """The flavor that MLflow's own servers load."""
        return self.flavors["python_function"]

    @property
    def takes_tensor(self) -> bool:
        """Whether the model takes one array, not columns."""
        inputs = self.inputs or ()
        return len(inputs) == 1 and bool(inputs[0].shape)


def parse_document(text: str) -> Document:
    """Return what an MLmodel file says; LoadFailure tells what it lacks."""
    import yaml

    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _corrupt(f"it is no YAML: {str(error).partition(chr(10))[0]}") from None
    flavors = told.get("flavors") if isinstance(told, dict) else None
    if not isinstance(flavors, dict) or not all(isinstance(f, dict) for f in flavors.values()):
        raise _corrupt("it has no flavors")
    function = flavors.get("python_function")
    if function is None:
        raise LoadFailure(
            "ModelIncompatible",
            f'"{NAME}" has no flavor "python_function" (it has {", ".join(flavors)}); save the '
            "model with a flavor of MLflow that Python can load",
        )
    try:
        signature = told.get("signature") or {}
        inputs, outputs = _parse_signature(signature)
        params = {str(one["name"]): one for one in json.loads(signature.get("params") or "[]")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _corrupt(f"its signature cannot be read ({type(error).__name__}: {error})") from None
    version, loader = told.get("mlflow_version", ""), function.get("loader_module", "")
    return Document(str(version), str(loader), flavors, inputs, outputs, params)


def _parse_signature(
    signature: Mapping[str, Any],
) -> tuple[tuple[Column, ...] | None, tuple[Column, ...]]:
    inputs, outputs = signature.get("inputs"), signature.get("outputs")
    return (
        _columns(json.loads(inputs), "input") if inputs else None,
        _columns(json.loads(outputs), "output") if outputs else (),
    )


def _columns(specifications: list[dict[str, Any]], unnamed: str) -> tuple[Column, ...]:
    return tuple(_column(one, f"{unnamed}-{i}") for i, one in enumerate(specifications))


def _column(one: dict[str, Any], unnamed: str) -> Column:
    name, kind = str(one.get("name", unnamed)), one["type"]
    if kind == "tensor":
        dtype = str(one["tensor-spec"]["dtype"])
        datatype = _TENSOR_DATATYPES.get(dtype, "BYTES")
        shape = tuple(int(size) for size in one["tensor-spec"]["shape"])
        return Column(Field(name), dtype if datatype != "BYTES" else "O", datatype, shape)
    of_table = Field(name, _KINDS.get(kind, "any"), bool(one.get("required", True)))
    datatype = _DATATYPES.get(kind, "BYTES")
    return Column(of_table, _DTYPES.get(kind, "O"), datatype, kind=str(kind))


def _corrupt(what: str) -> LoadFailure:
    return LoadFailure("ModelCorrupt", f'"{NAME}" cannot be used: {what}; log the model again')
