"""From payloads to what an MLflow model takes: a matrix, a DataFrame by its signature, a tensor."""

from __future__ import annotations

from typing import Any, Protocol

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.mlflow_columns import make_series
from sampan.runtimes.mlflow_document import Column, Document
from sampan.runtimes.mlflow_flavors import Loaded
from sampan.runtimes.mlflow_named import NamedReader, validate_tensor
from sampan.runtimes.tabular_columns import Columns, arrange
from sampan.runtimes.tabular_rows import make_matrix, select_instances
from sampan.runtimes.tabular_values import make_values
from sampan.server.payloads import get_predict_input

_MLFLOW_SHAPE = [-1, 1]  # of a column in metadata, as MLServer's MLflow runtime tells it


class Reader(Protocol):
    """Reads payloads for one model."""

    def read(self, payload: Any) -> Any:
        """Return what the model predicts; InvalidInput names what is wrong."""

    def flatten(self, payload: Any) -> Any:
        """Return a V1 payload with rows by place, where that loses nothing."""

    def zeros(self) -> Any:
        """Return one row of nothing."""

    def describe(self) -> list[dict[str, Any]]:
        """Return the input tensors for metadata."""


def make_reader(document: Document, loaded: Loaded) -> Reader:
    """Return the reader of a model: by its signature, by its width, or as the payload comes."""
    if document.inputs is None:
        if loaded.frame or loaded.columns is None:
            return FreeReader()
        return MatrixReader(loaded.columns, ())
    if document.takes_tensor:
        return TensorReader(document.inputs[0])
    if any(column.shape for column in document.inputs):
        return NamedReader(document.inputs)
    if not loaded.frame and all(c.field.kind == "number" for c in document.inputs):
        matrix = MatrixReader(_columns_of(document.inputs), document.inputs)
        try:
            loaded.predict(matrix.zeros())
        except Exception:  # noqa: BLE001  # it asks for columns by name
            return FrameReader(document.inputs)
        return matrix
    return FrameReader(document.inputs)


def _columns_of(inputs: tuple[Column, ...]) -> Columns:
    optional = frozenset(c.field.name for c in inputs if not c.field.required)
    names = tuple(column.field.name for column in inputs)
    return Columns(len(inputs), names, optional=optional, others=True)


class MatrixReader:
    """For models that take numbers by place."""

    def __init__(self, columns: Columns, inputs: tuple[Column, ...]) -> None:
        self.columns = columns
        self._inputs = inputs

    def read(self, payload: Any) -> Any:
        """Return a matrix."""
        return make_matrix(payload, self.columns)

    def flatten(self, payload: Any) -> Any:
        """Return columns that are lists as rows."""
        named = payload.get("inputs") if isinstance(payload, dict) else None
        if not isinstance(named, dict):
            return payload
        values = arrange(named, self.columns, '"inputs"')
        if not all(isinstance(value, list) for value in values):
            return payload
        if len({len(value) for value in values}) != 1:
            return payload  # told when it is read
        return {"instances": [list(row) for row in zip(*values, strict=True)]}

    def zeros(self) -> Any:
        """Return a row of zeros."""
        import numpy as np

        return np.zeros((1, self.columns.width))

    def describe(self) -> list[dict[str, Any]]:
        """Return a tensor a column of the signature, or the matrix."""
        if not self._inputs:
            return [{"name": "input-0", "datatype": "FP64", "shape": [-1, self.columns.width]}]
        return _describe(self._inputs)


class FrameReader:
    """For models that take columns by name, of the signature's types."""

    def __init__(self, inputs: tuple[Column, ...]) -> None:
        self._inputs = inputs
        self._fields = tuple(column.field for column in inputs)

    def read(self, payload: Any) -> Any:
        """Return a DataFrame with the signature's columns, in its order."""
        values = make_values(payload, self._fields, others=True)
        return self._frame(values)

    def flatten(self, payload: Any) -> Any:
        """Return the payload: names are kept to its reading."""
        return payload

    def zeros(self) -> Any:
        """Return a row of zeros and empty texts."""
        nothing = {"text": "", "truth": False, "any": None}
        return self._frame([[nothing.get(field.kind, 0)] for field in self._fields])

    def describe(self) -> list[dict[str, Any]]:
        """Return a tensor a column."""
        return _describe(self._inputs)

    def _frame(self, values: list[list[Any]]) -> Any:
        import pandas as pd  # type: ignore[import-untyped]  # not in the core

        pairs = zip(self._inputs, values, strict=True)
        return pd.DataFrame({c.field.name: make_series(c, series) for c, series in pairs})


class TensorReader:
    """For models whose signature is one tensor."""

    def __init__(self, spec: Column) -> None:
        self._spec = spec

    def read(self, payload: Any) -> Any:
        """Return an array of the signature's dtype and shape."""
        import numpy as np

        if isinstance(payload, InferRequest):
            if len(payload.inputs) != 1:
                raise InvalidInput(
                    f'the request has {len(payload.inputs)} tensors; send "{self._spec.field.name}"'
                )
            array, name = payload.inputs[0].as_numpy(), payload.inputs[0].name
        else:
            instances, name = select_instances(payload)
            try:
                array = np.array(instances)
            except (ValueError, OverflowError, RecursionError) as error:
                raise InvalidInput(f'"{name}" is no tensor: {error}') from None
        return validate_tensor(self._spec, array, name)

    def flatten(self, payload: Any) -> Any:
        """Return the payload."""
        return payload

    def zeros(self) -> Any:
        """Return zeros, one of each size that is free."""
        import numpy as np

        return np.zeros([max(size, 1) for size in self._spec.shape], self._spec.dtype)

    def describe(self) -> list[dict[str, Any]]:
        """Return the tensor."""
        return _describe((self._spec,))


class FreeReader:
    """For models that say nothing of what they take."""

    def read(self, payload: Any) -> Any:
        """Return an array, texts or a DataFrame, as the payload comes."""
        if isinstance(payload, InferRequest) and len(payload.inputs) > 1:
            return payload.as_dataframe()
        return get_predict_input(payload)

    def flatten(self, payload: Any) -> Any:
        """Return the payload."""
        return payload

    def zeros(self) -> Any:
        """Return nothing: there is no telling."""
        raise InvalidInput("the model has no signature")

    def describe(self) -> list[dict[str, Any]]:
        """Return nothing."""
        return []


def _describe(inputs: tuple[Column, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": column.field.name,
            "datatype": column.datatype,
            "shape": list(column.shape) or list(_MLFLOW_SHAPE),
        }
        for column in inputs
    ]
