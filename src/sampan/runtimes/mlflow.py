"""MLflow: models as `mlflow.*.log_model` saves them; the scoring server's API beside V1 and V2.

The flavors of scikit-learn, XGBoost, LightGBM and CatBoost are served without MLflow's loaders
(`mlflow_flavors`); with trust, every `python_function` is loaded as MLflow does it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.mlflow_answers import make_answer, make_output_types
from sampan.runtimes.mlflow_document import NAME, Document, parse_document
from sampan.runtimes.mlflow_flavors import Loaded, load_flavor, load_trusted
from sampan.runtimes.mlflow_forms import normalise
from sampan.runtimes.mlflow_inputs import MatrixReader, Reader, make_reader
from sampan.runtimes.mlflow_params import take_params
from sampan.runtimes.sklearn_blame import blame
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers, Model

RUNTIME = Runtime(
    name="sampan-mlflowserver",
    server_type="mlflowserver",
    formats=(
        ModelFormat("mlflow", "1", priority=2, auto_select=True),
        ModelFormat("mlflow", "2", priority=2, auto_select=True),
        ModelFormat("mlflow", "3", priority=2, auto_select=True),
    ),
    protocol_versions=("v1", "v2"),
    images=("sampan/mlflowserver",),
    model="sampan.runtimes.mlflow:MLflowModel",
    extensions=(NAME,),
    requirements=(
        *SERVER_REQUIREMENTS,
        "mlflow-skinny>=2.9",
        "pandas>=2.2",
        "scikit-learn>=1.4",
        "skops>=0.13",
        "xgboost-cpu>=3",
        "lightgbm>=4",
    ),
    package="mlflow-skinny",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.mlflow", "yaml", "pandas", "sklearn.base"),
    entry_arguments=("--runtime=mlflow", "--grpc_port=0"),
    api="sampan.runtimes.mlflow_api:MLflowApi",
)

_WARM_ROUNDS = 3
_REFUSALS = (ValueError, TypeError, KeyError)


class MLflowModel(Model):
    """An MLflow model. Rows are held to its signature, where it has one."""

    quick = True
    takes_arrays = True
    takes_headers = False

    def __init__(
        self,
        name: str,
        model_dir: str,
        *,
        trust: bool = False,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(name)
        self._folder = Path(model_dir)
        self._trust = trust
        self._allowed = allowed
        self._loaded: Loaded | None = None
        self._reader: Reader | None = None
        self._outputs: list[dict[str, Any]] = []
        self._params: Mapping[str, Mapping[str, Any]] = {}

    def load(self) -> bool:
        """Load the model of the folder; LoadFailure tells what is wrong with it."""
        folder = find_model(self._folder)
        document = parse_document((folder / NAME).read_text(errors="replace"))
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        self._loaded = loaded = self._load(folder, document)
        self._reader = make_reader(document, loaded)
        self.row_wise = loaded.row_wise
        self._params = document.params
        self._outputs = make_output_types(document, self._answer_zeros())
        self.ready = True
        return self.ready

    def _load(self, folder: Path, document: Document) -> Loaded:
        return load_trusted(folder) if self._trust else load_flavor(folder, document, self._allowed)

    def warm_up(self) -> None:
        """Predict a row of zeros: libraries that load and allocate late do it now."""
        for _ in range(_WARM_ROUNDS):
            self._answer_zeros()

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the signature's columns or tensor; without one the matrix that it takes."""
        return [] if self._reader is None else self._reader.describe()

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the signature's outputs; without one what it answers to a row of zeros."""
        return self._outputs

    def preprocess(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Bring MLflow's forms into V1's; rows by column become rows by place, to be joined."""
        del args, kwargs
        if isinstance(payload, InferRequest) or self._reader is None:
            return payload
        made = normalise(payload)
        if isinstance(made, dict) and "params" in made:
            take_params(made, self._params)  # before requests are joined, which have none
            self._check_params_reach()
            return made
        return self._reader.flatten(made)

    def _check_params_reach(self) -> None:
        if self._loaded is not None and self._loaded.with_params is None:
            raise InvalidInput(
                '"params" are not passed on to a model of this flavor; send the request without '
                "them"
            )

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload."""
        del headers, response_headers
        if self._reader is None or self._loaded is None:
            raise InferenceError("the model is not loaded")
        rows = self._reader.read(payload)
        call = self._loaded.predict
        if self._params and self._loaded.with_params is not None:
            params = take_params(payload, self._params)
            call = partial(self._loaded.with_params, params=params or None)
        try:
            result = call(rows)
        except _REFUSALS as error:
            columns = self._reader.columns if isinstance(self._reader, MatrixReader) else None
            raise blame(payload, error, columns) from error
        except Exception as error:
            if type(error).__name__ == "MlflowException":  # its enforcement of the signature
                raise InvalidInput(str(error)) from error
            raise InferenceError(str(error)) from error
        return make_answer(payload, result, self.name)

    def _answer_zeros(self) -> Any:
        """Return the result for a row of zeros; None where that is not to be had."""
        if self._reader is None or self._loaded is None:
            return None
        try:
            return self._loaded.predict(self._reader.zeros())
        except Exception:  # noqa: BLE001  # zeros and empty texts may be nothing that it takes
            return None


def find_model(folder: Path) -> Path:
    """Return the folder of the one MLmodel file: this one, or one directly in it."""
    if (folder / NAME).is_file():
        return folder
    inner = sorted(path.parent for path in folder.glob(f"*/{NAME}"))
    if len(inner) == 1:
        return inner[0]
    if inner:
        names = ", ".join(f'"{path.name}"' for path in inner)
        raise LoadFailure(
            "ModelAmbiguous", f'more than one folder has an "{NAME}": {names}; leave one of them'
        )
    raise LoadFailure(
        "ModelMissing",
        f'no "{NAME}" in "{folder}"; give the folder that mlflow.*.log_model or save_model wrote',
    )


def installed_version() -> str:
    """Return the MLflow of the environment; "" where there is none."""
    from importlib import metadata

    for package in ("mlflow-skinny", "mlflow"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ""
