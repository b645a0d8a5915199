"""`mlserver_mlflow.MLflowRuntime` by Sampan's engine for MLflow: its names, columns and paths."""

from __future__ import annotations

from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.mlflow import MLflowModel
from sampan.runtimes.mlflow_answers import OUTPUT as LONE_OUTPUT
from sampan.runtimes.mlserver.native import NativeModel, make_column
from sampan.server.load_failure import missing_package
from sampan.server.model import Headers

_CONTENT_TYPES = {"BYTES": "str"}
"""By datatype, as MLServer tells columns of a signature; any other is "np"."""


class MLflowProjectModel(NativeModel):
    """A model of a project that is a folder with an `MLmodel` file."""

    _engine: MLflowModel | None = None

    def load(self) -> bool:
        """Load the folder; LoadFailure tells what is wrong with it."""
        uri = self.settings.uri
        folder = uri if uri.is_dir() else uri.parent
        engine = MLflowModel(self.name, str(folder), trust=self._trust, allowed=self._allowed)
        try:
            engine.load()
        except ImportError as error:
            raise missing_package("what the model needs", error, "what it names") from None
        self._engine = self._inner = engine
        self.quick, self.takes_arrays = engine.quick, engine.takes_arrays
        self.row_wise = engine.row_wise
        self.ready = True
        return self.ready

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the signature's tensors with their content types, else what the settings say."""
        told = self._engine.get_input_types() if self._engine is not None else []
        return [_typed(one) for one in told] or list(self.settings.inputs)

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs under their own names, else what the settings say."""
        told = self._engine.get_output_types() if self._engine is not None else []
        return [_typed(one) for one in told] or list(self.settings.outputs)

    def preprocess(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Bring forms of the scoring server into V1's."""
        return (
            payload if self._engine is None else self._engine.preprocess(payload, *args, **kwargs)
        )

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer V2 with a column an output; what `/invocations` sends as MLflow does."""
        del headers, response_headers
        assert self._engine is not None  # noqa: S101  # a model that is ready has been loaded
        answer = self._engine.predict(payload)
        if not isinstance(payload, InferRequest):
            return answer
        names = [output.name for output in answer.outputs]
        for wanted in payload.request_outputs or ():
            if wanted.name not in names:
                raise InvalidInput(
                    f'output "{wanted.name}" is not served; ask for {", ".join(names)}, or for none'
                )
        answer.outputs = [make_column(output, output.name) for output in answer.outputs]
        answer.model_version = self.settings.version or None
        if names == [LONE_OUTPUT]:
            answer.parameters = {"content_type": "np"}  # by which mlserver's client decodes it
        return answer


def _typed(tensor: dict[str, Any]) -> dict[str, Any]:
    kind = _CONTENT_TYPES.get(str(tensor.get("datatype")), "np")
    return {**tensor, "parameters": {"content_type": kind}}
