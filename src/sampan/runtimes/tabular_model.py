"""What models of tables have in common: one file, rows of numbers in, a number or a row out.

A framework adds how its file is read (`read`), and gets the rest: multi-model mode, metadata,
batching, and errors that name the feature.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.model_files import select_model_file
from sampan.runtimes.sklearn_types import UNKNOWN, Tensors, Types, make_outputs, observe_types
from sampan.runtimes.tabular_columns import Columns
from sampan.runtimes.tabular_rows import make_matrix
from sampan.runtimes.tabular_values import DATATYPES, Field, make_values
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers, Model
from sampan.server.payloads import get_predict_response

_WARM_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Table:
    """A model that was read: what it takes, and how it answers a matrix.

    `refusals` are the errors by which the framework refuses values: they are the caller's.
    `row_wise` promises that a row's answer has the same bits whatever rows stand beside it.
    """

    columns: Columns
    predict: Callable[[Any], Any]
    refusals: tuple[type[Exception], ...] = (ValueError, TypeError)
    row_wise: bool = False
    fields: tuple[Field, ...] = ()
    """The columns' kinds where not all are numbers; `predict` then gets a list of rows."""

    def zeros(self) -> Any:
        """Return one row of nothing: zeros, and empty texts."""
        if not self.fields:
            return [[0.0] * self.columns.width]
        return [[0.0 if field.kind == "number" else "" for field in self.fields]]


class TabularModel(Model):
    """A model of a table of numbers."""

    quick = True
    takes_arrays = True
    takes_headers = False
    extensions: ClassVar[tuple[str, ...]] = ()
    other_extensions: ClassVar[tuple[str, ...]] = ()
    """Looked at where no file has one of `extensions`: other files have them too."""

    def __init__(
        self,
        name: str,
        model_dir: str,
        *,
        trust: bool = False,
        allowed: frozenset[str] = frozenset(),
        nthread: int = 1,
    ) -> None:
        del trust, allowed  # these files hold numbers and trees, nothing that runs
        super().__init__(name)
        self._folder = Path(model_dir)
        self._nthread = nthread
        self._table: Table | None = None
        self._types = UNKNOWN

    def read(self, path: Path, nthread: int) -> Table:
        """Read a model file; LoadFailure tells what is wrong with it."""
        raise NotImplementedError

    def load(self) -> bool:
        """Load the one model file of the folder; LoadFailure tells what is wrong with it."""
        path = self._select_file()
        if path.is_file() and not path.stat().st_size:
            raise LoadFailure(
                "ModelCorrupt", f'model file "{path.name}" is empty; save the model again'
            )
        self._table = table = self.read(path, self._nthread)
        self._types = _observe(table)
        self.row_wise = table.row_wise
        self.takes_arrays = not table.fields  # joined as one array, whole numbers may turn real
        self.ready = True
        return self.ready

    def _select_file(self) -> Path:
        try:
            return select_model_file(self._folder, self.extensions)
        except LoadFailure as failure:
            if failure.reason != "ModelMissing" or not self.other_extensions:
                raise
            return select_model_file(self._folder, (*self.extensions, *self.other_extensions))

    def warm_up(self) -> None:
        """Predict a row of zeros: libraries that load and allocate late do it now."""
        if self._table is not None and self._types.outputs:
            for _ in range(_WARM_ROUNDS):
                self.predict({"instances": self._table.zeros()})

    def get_input_types(self) -> Tensors:
        """Return the matrix that it takes; of columns that differ in kind, a tensor each."""
        return self._types.inputs

    def get_output_types(self) -> Tensors:
        """Return what it answers to such a matrix."""
        return self._types.outputs

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload."""
        del headers, response_headers
        table = self._table
        if table is None:
            raise InferenceError("the model is not loaded")
        if table.fields:
            rows = [list(row) for row in zip(*make_values(payload, table.fields), strict=True)]
        else:
            rows = make_matrix(payload, table.columns)
        try:
            result = table.predict(rows)
        except table.refusals as error:
            raise InvalidInput(str(error)) from error
        except Exception as error:
            raise InferenceError(str(error)) from error
        return get_predict_response(payload, result, self.name)


def wants_probabilities() -> bool:
    """Whether PREDICT_PROBA asks for probabilities in the place of classes (KServe's variable)."""
    return os.environ.get("PREDICT_PROBA", "").lower() == "true"


def _observe(table: Table) -> Types:
    if not table.fields:
        return observe_types(table.predict, table.columns.width, "FP32")
    inputs = [
        {"name": field.name, "datatype": DATATYPES[field.kind], "shape": [-1]}
        for field in table.fields
    ]
    try:
        return Types(inputs, make_outputs(table.predict(table.zeros())))
    except table.refusals:
        return Types(inputs, [])
