"""The `MLmodel` file: which loader a model has, and the signature it promises. Pure but for YAML.

Format: MLflow, "MLflow Models" (storage format, signatures). Only what is needed to serve is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
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
"""MLflow's column types; binary, datetime, arrays and objects pass as they are."""
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


@dataclass(frozen=True, slots=True)
class Document:
    """What is read of an MLmodel file. Without a signature `inputs` is None."""

    version: str
    loader: str
    flavors: Mapping[str, Mapping[str, Any]]
    inputs: tuple[Column, ...] | None = None
    outputs: tuple[Column, ...] = ()

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
        inputs, outputs = _parse_signature(told.get("signature") or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _corrupt(f"its signature cannot be read ({type(error).__name__}: {error})") from None
    version, loader = told.get("mlflow_version", ""), function.get("loader_module", "")
    return Document(str(version), str(loader), flavors, inputs, outputs)


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
    field = Field(name, _KINDS.get(kind, "any"), bool(one.get("required", True)))
    return Column(field, _DTYPES.get(kind, "O"), _DATATYPES.get(kind, "BYTES"))


def _corrupt(what: str) -> LoadFailure:
    return LoadFailure("ModelCorrupt", f'"{NAME}" cannot be used: {what}; log the model again')
