"""ONNX: models of named tensors, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sampan.runtimes.declaration import SERVER_PRELOAD, SERVER_REQUIREMENTS, Runtime
from sampan.runtimes.model_files import select_model_file
from sampan.runtimes.onnx_session import OnnxSession
from sampan.runtimes.row_trial import is_row_wise
from sampan.runtimes.tensor_answers import make_answer
from sampan.runtimes.tensor_specs import gather_arrays, make_zeros, select_outputs
from sampan.server.model import Headers, Model

REQUIREMENT = "onnxruntime>=1.24"

RUNTIME = Runtime(
    name="onnxserver",
    server_type="onnxserver",
    formats=(),
    protocol_versions=("v1", "v2", "grpc-v2"),
    images=(),
    model="sampan.runtimes.onnx:OnnxModel",
    extensions=(".onnx", ".ort"),
    requirements=(*SERVER_REQUIREMENTS, REQUIREMENT),
    package="onnxruntime",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.onnx"),  # onnxruntime itself starts a thread
    entry_arguments=("--runtime=onnx", "--grpc_port=0"),
)
"""No ServingRuntime of KServe's is ONNX alone: services of this format go to Triton's."""

_WARM_ROUNDS = 3


class OnnxModel(Model):
    """One `.onnx` file."""

    quick = True
    takes_arrays = True
    takes_headers = False
    platform = "onnxruntime_onnx"

    def __init__(
        self,
        name: str,
        model_dir: str,
        *,
        trust: bool = False,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        del trust, allowed  # a graph of operators runs no code of its file
        super().__init__(name)
        self._folder = Path(model_dir)
        self._session: Any = None

    def load(self) -> bool:
        """Load the one model file of the folder; LoadFailure tells what is wrong with it."""
        self._session = OnnxSession(select_model_file(self._folder, RUNTIME.extensions))
        self.row_wise = is_row_wise(self._session)
        self.ready = True
        return self.ready

    def warm_up(self) -> None:
        """Run zeros: memory is laid out for these shapes."""
        names = [spec.name for spec in self._session.outputs]
        for _ in range(_WARM_ROUNDS):
            self._session.run(make_zeros(self._session.inputs), names)

    def stop(self) -> None:
        """Let the session go."""
        super().stop()
        self._session = None

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs of the graph."""
        return [spec.metadata() for spec in self._session.inputs] if self._session else []

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs of the graph."""
        return [spec.metadata() for spec in self._session.outputs] if self._session else []

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload; InvalidInput where it does not fit the graph."""
        del headers, response_headers
        session = self._session
        given = gather_arrays(payload, session.inputs)
        arrays = session.run(given, select_outputs(payload, session.outputs))
        return make_answer(payload, arrays, self.name)
