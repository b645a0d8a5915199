"""What models of tables have in common: one file, rows of numbers in, a number or a row out.

A framework adds how its file is read (`read`), and gets the rest: multi-model mode, metadata,
batching, and errors that name the feature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.model_files import select_model_file
from sampan.runtimes.sklearn_types import UNKNOWN, Tensors, observe_types
from sampan.runtimes.tabular_columns import Columns
from sampan.runtimes.tabular_rows import Matrix, make_matrix
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
    predict: Callable[[Matrix], Any]
    refusals: tuple[type[Exception], ...] = (ValueError, TypeError)
    row_wise: bool = False


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
        self._types = observe_types(table.predict, table.columns.width, "FP32")
        self.row_wise = table.row_wise
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
        if self._table is not None:
            for _ in range(_WARM_ROUNDS):
                self.predict({"instances": [[0.0] * self._table.columns.width]})

    def get_input_types(self) -> Tensors:
        """Return the matrix that it takes."""
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
        rows = make_matrix(payload, table.columns)
        try:
            result = table.predict(rows)
        except table.refusals as error:
            raise InvalidInput(str(error)) from error
        except Exception as error:
            raise InferenceError(str(error)) from error
        return get_predict_response(payload, result, self.name)
