"""MLServer's built-in implementations, by Sampan's engines: their names, files and outputs.

An output is called `predict`, and one number a row is a column: shape [n, 1] (MLServer's codecs).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferOutput, InferRequest, InferResponse
from sampan.runtimes import get_runtime, resolve
from sampan.runtimes.mlserver.settings import ModelSettings
from sampan.runtimes.sklearn import SKLearnModel
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers, Model

OUTPUT = "predict"
SKLEARN_OUTPUTS = (OUTPUT, "predict_proba", "transform")
"""Outputs of MLServer's runtime for scikit-learn: each is a function of the estimator."""


@dataclass(frozen=True, slots=True)
class Implementation:
    """Which runtime serves it, and the file names that MLServer knows."""

    runtime: str
    files: tuple[str, ...]


IMPLEMENTATIONS = {
    "mlserver_sklearn.SKLearnModel": Implementation(
        "sklearn", ("model.joblib", "model.pickle", "model.pkl")
    ),
    "mlserver_xgboost.XGBoostModel": Implementation(
        "xgboost", ("model.bst", "model.json", "model.ubj")
    ),
    "mlserver_lightgbm.LightGBMModel": Implementation("lightgbm", ("model.bst",)),
    "mlserver_catboost.CatboostModel": Implementation("catboost", ("model.cbm", "model.bin")),
}
"""Those that load one file."""
MLFLOW = "mlserver_mlflow.MLflowRuntime"
HUGGING_FACE = "mlserver_huggingface.HuggingFaceRuntime"
BUILT_IN = (*IMPLEMENTATIONS, MLFLOW, HUGGING_FACE)
"""Implementations that run without the package of theirs, and without trust."""


class NativeModel(Model):
    """A model of a built-in implementation."""

    takes_headers = False

    def __init__(self, settings: ModelSettings, *, trust: bool, allowed: frozenset[str]) -> None:
        super().__init__(settings.name)
        self.settings = settings
        self.platform = settings.platform
        self._trust = trust
        self._allowed = allowed
        self._inner: Model | None = None

    def load(self) -> bool:
        """Load the file that the settings name, or the one of a known name; LoadFailure."""
        implementation = IMPLEMENTATIONS[self.settings.implementation]
        path = _select_file(self.settings.uri, implementation.files)
        model_class = resolve(get_runtime(implementation.runtime).model)
        inner: Model = model_class(self.name, str(path), trust=self._trust, allowed=self._allowed)
        inner.load()
        self._inner = inner
        self.quick, self.takes_arrays = inner.quick, inner.takes_arrays
        self.row_wise = inner.row_wise
        self.ready = True
        return self.ready

    def warm_up(self) -> None:
        """Let the engine warm up."""
        if self._inner is not None:
            self._inner.warm_up()

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return what the settings say, else what the model tells."""
        return list(self.settings.inputs) or (self._inner.get_input_types() if self._inner else [])

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return what the settings say, else what the model tells, under MLServer's name."""
        if self.settings.outputs or self._inner is None:
            return list(self.settings.outputs)
        return [{**item, "name": OUTPUT} for item in self._inner.get_output_types()]

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer the outputs that are asked for; InvalidInput for those that there are not."""
        del headers, response_headers
        assert self._inner is not None  # noqa: S101  # a model that is ready has been loaded
        if not isinstance(payload, InferRequest):
            return self._inner.predict(payload)
        wanted, payload.request_outputs = payload.request_outputs, None
        names = [item.name for item in wanted or ()] or [self._usual_output()]
        try:
            answers = [self._ask(self._inner, name, payload) for name in names]
        finally:
            payload.request_outputs = wanted
        answer = answers[0]
        answer.outputs = [
            make_column(output, name)
            for name, one in zip(names, answers, strict=True)
            for output in one.outputs
        ]
        answer.requested_outputs = wanted
        answer.model_version = self.settings.version or None
        return answer

    def _usual_output(self) -> str:
        """Return what is answered where nothing is asked for: `predict`, or what settings say."""
        extra = (self.settings.document.get("parameters") or {}).get("extra") or {}
        return str(extra.get("predict_fn") or OUTPUT)

    def _ask(self, inner: Model, name: str, payload: InferRequest) -> InferResponse:
        """Return the engine's answer of one output; InvalidInput for one that there is not."""
        if isinstance(inner, SKLearnModel):
            if name not in SKLEARN_OUTPUTS:
                raise InvalidInput(
                    "SKLearnModel only supports 'predict', 'predict_proba' and 'transform' as "
                    f"outputs ({name} was received)"
                )
            by: InferResponse = (
                inner.predict(payload) if name == OUTPUT else inner.predict_by(name, payload)
            )
            return by
        if name != OUTPUT:
            raise InvalidInput(f'output "{name}" is not served; ask for "{OUTPUT}", or for none')
        answer: InferResponse = inner.predict(payload)
        return answer


def make_column(output: InferOutput, asked: str) -> InferOutput:
    """Return an output in MLServer's form: one number a row is a column."""
    array = output.as_numpy()
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    name = asked if output.name == "output-0" else output.name
    parameters = {**(output.parameters or {}), "content_type": "np"}
    made = InferOutput(name, list(array.shape), output.datatype, None, parameters)
    made.set_array(array)
    return made


def _select_file(uri: Path, names: tuple[str, ...]) -> Path:
    if uri.is_file():
        return uri
    for name in names:
        if (uri / name).is_file():
            return uri / name
    raise LoadFailure(
        "ModelMissing",
        f'no model file in "{uri}"; save it as {" or ".join(names)}, or name it in parameters.uri',
    )
