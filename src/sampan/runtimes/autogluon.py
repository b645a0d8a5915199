"""AutoGluon: a saved TabularPredictor, asked by the names of its features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.autogluon_folder import (
    PREDICTOR,
    is_series,
    load_predictor,
    validate_folder,
)
from sampan.runtimes.autogluon_predictor import AutoGluonPredictor
from sampan.runtimes.autogluon_series import AutoGluonSeriesModel
from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.tabular_model import wants_probabilities
from sampan.runtimes.tensor_answers import make_answer
from sampan.server.model import Headers

if TYPE_CHECKING:
    import numpy as np

RUNTIME = Runtime(
    name="kserve-autogluonserver",
    server_type="autogluonserver",
    formats=(ModelFormat("autogluon", "1", priority=1, auto_select=True),),
    protocol_versions=("v1", "v2"),
    images=("kserve/autogluonserver", "kserve-autogluonserver"),
    model="sampan.runtimes.autogluon:make_model",
    extensions=(PREDICTOR,),
    requirements=(*SERVER_REQUIREMENTS, "autogluon.tabular[lightgbm,xgboost,catboost]>=1.4"),
    package="autogluon.tabular",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.autogluon"),
    entry_arguments=("--runtime=autogluon", "--grpc_port=0"),
)

_DATATYPES = {"int": "INT64", "float": "FP64", "bool": "BOOL"}
"""Of a feature's raw type; any other is text."""
_OUTPUT, _PROBABILITY = "output-0", "proba_"


def make_model(name: str, model_dir: str, **given: Any) -> AutoGluonPredictor:
    """Return the model of what a folder holds: a table's predictor, or one of time series."""
    kind = AutoGluonSeriesModel if is_series(Path(model_dir)) else AutoGluonModel
    return kind(name, model_dir, **given)


class AutoGluonModel(AutoGluonPredictor):
    """One folder that `TabularPredictor` saved."""

    platform = "autogluon"

    def __init__(self, name: str, model_dir: str, **given: Any) -> None:
        super().__init__(name, model_dir, **given)
        self._kinds: dict[str, str] = {}
        self._probabilities = False

    def load(self) -> bool:
        """Load the predictor; LoadFailure tells what is wrong with it."""
        validate_folder(self._folder, trust=self._trust)
        self._predictor = predictor = load_predictor(
            self._folder, "autogluon.tabular", "TabularPredictor", verbosity=0
        )
        kinds = predictor.feature_metadata_in.type_map_raw
        self._kinds = {name: _DATATYPES.get(kinds[name], "BYTES") for name in predictor.features()}
        self._probabilities = wants_probabilities() and predictor.can_predict_proba
        self.ready = True
        return self.ready

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return a tensor a feature."""
        return [{"name": n, "datatype": d, "shape": [-1]} for n, d in self._kinds.items()]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the label, or a probability a label."""
        if self._probabilities:
            names = [f"{_PROBABILITY}{label}" for label in self._predictor.class_labels]
            return [{"name": name, "datatype": "FP64", "shape": [-1]} for name in names]
        return [{"name": _OUTPUT, "datatype": self._label_datatype(), "shape": [-1]}]

    def _label_datatype(self) -> str:
        import numpy as np

        labels = self._predictor.class_labels if self._predictor else None
        if labels is None:
            return "FP64"  # a regression
        return {"i": "INT64", "u": "INT64", "f": "FP64"}.get(np.array(labels).dtype.kind, "BYTES")

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload; InvalidInput names the feature that is missing or wrong."""
        del headers, response_headers
        table = self._make_table(payload)
        predictor = self._predictor
        try:
            made = predictor.predict_proba(table) if self._probabilities else None
            labels = predictor.predict(table) if made is None else None
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInput(f"the model does not take these rows: {error}") from error
        except Exception as error:
            raise InferenceError(str(error)) from error
        arrays = {_OUTPUT: _as_label(labels)} if made is None else _columns(made)
        if made is not None and not isinstance(payload, InferRequest):
            named = {name.removeprefix(_PROBABILITY): array for name, array in arrays.items()}
            rows = zip(*(array.tolist() for array in named.values()), strict=True)
            return {"predictions": [dict(zip(named, row, strict=True)) for row in rows]}
        return make_answer(payload, arrays, self.name)

    def _make_table(self, payload: Any) -> Any:
        """Return the features as a DataFrame; what the model does not ask for is left out."""
        import pandas as pd  # type: ignore[import-untyped]  # comes with AutoGluon

        if isinstance(payload, InferRequest):
            columns = {t.name: _flat(t.name, t.as_numpy()) for t in payload.inputs}
        else:
            columns = _turn(payload, list(self._kinds))
        missing = [name for name in self._kinds if name not in columns]
        if missing:
            listed = ", ".join(f'"{name}"' for name in self._kinds)
            raise InvalidInput(f'feature "{missing[0]}" is missing; the model takes {listed}')
        wanted = {name: columns[name] for name in self._kinds}
        sizes = {name: len(column) for name, column in wanted.items()}
        rows = next(iter(sizes.values()))
        odd = next((name for name, size in sizes.items() if size != rows), None)
        if odd is not None:
            raise InvalidInput(
                f'feature "{odd}" has {sizes[odd]} rows, others {rows}; send as many'
            )
        if not rows:
            raise InvalidInput("the request has no rows; send at least one")
        return pd.DataFrame(
            {name: _cast(name, column, self._kinds[name]) for name, column in wanted.items()}
        )


def _turn(payload: Any, names: list[str]) -> dict[str, list[Any]]:
    """Return a column a feature of V1's rows, which are objects."""
    rows = payload.get("instances", payload.get("inputs")) if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        raise InvalidInput('Expected a JSON object with "instances" or "inputs"')
    if not rows:
        raise InvalidInput("the request has no rows; send at least one")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            listed = ", ".join(f'"{name}"' for name in names)
            raise InvalidInput(f"instance {number} is no object; send a value for each of {listed}")
        missing = next((name for name in names if name not in row), None)
        if missing is not None:
            raise InvalidInput(f'feature "{missing}" is missing in instance {number}; send it')
    return {name: [row[name] for row in rows] for name in names}


def _flat(name: str, array: np.ndarray[Any, Any]) -> list[Any]:
    if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] == 1):
        raise InvalidInput(f'feature "{name}" has shape {list(array.shape)}; send [n] or [n, 1]')
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in array.ravel()]


def _cast(name: str, column: list[Any], datatype: str) -> Any:
    """Return a column as numbers, or as text; a value that is none of them names its feature."""
    import numpy as np

    if datatype == "BYTES":
        return np.array([None if value is None else str(value) for value in column], dtype=object)
    wrong = next((v for v in column if isinstance(v, (str, list, dict))), None)
    if wrong is not None:
        raise InvalidInput(f'feature "{name}" holds {wrong!r}; send a number')
    if any(value is None for value in column):
        return np.array([np.nan if value is None else value for value in column], dtype=float)
    return np.array(column)


def _as_label(labels: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    array = np.asarray(labels)
    kinds = {"i": "int64", "u": "int64", "f": "float64", "b": "bool"}
    return array.astype(kinds.get(array.dtype.kind, object))


def _columns(table: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {f"{_PROBABILITY}{label}": table[label].to_numpy("float64") for label in table.columns}
