"""PyTorch: one file of TorchScript, or of torch.export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.declaration import SERVER_PRELOAD, SERVER_REQUIREMENTS, Runtime
from sampan.runtimes.json_tensors import as_datatype, make_array, select_columns
from sampan.runtimes.model_files import select_model_file
from sampan.runtimes.pytorch_session import PytorchSession
from sampan.runtimes.row_trial import is_row_wise
from sampan.runtimes.tensor_answers import make_answer
from sampan.runtimes.tensor_specs import gather_arrays, make_zeros
from sampan.server.model import Headers, Model

RUNTIME = Runtime(
    name="pytorchserver",
    server_type="pytorchserver",
    formats=(),
    protocol_versions=("v1", "v2", "grpc-v2"),
    images=("sampan/pytorchserver",),
    model="sampan.runtimes.pytorch:PytorchModel",
    extensions=(".pt", ".pth", ".ts", ".pt2"),
    requirements=(*SERVER_REQUIREMENTS, "torch>=2.6"),
    package="torch",
    # On a GPU its import may start threads: then replicas are started without a fork, as ever.
    preload=(*SERVER_PRELOAD, "sampan.runtimes.pytorch", "torch"),
    entry_arguments=("--runtime=pytorch", "--grpc_port=0"),
)
"""Files alone: KServe's own way for this format is an archive for TorchServe."""


class PytorchModel(Model):
    """One file. TorchScript tells the names of its inputs only; torch.export all of its tensors."""

    takes_headers = False
    platform = "pytorch_libtorch"

    def __init__(
        self,
        name: str,
        model_dir: str,
        *,
        trust: bool = False,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        del allowed  # nothing is unpickled by names
        super().__init__(name)
        self._folder = Path(model_dir)
        self._trust = trust
        self._session: PytorchSession | None = None

    def load(self) -> bool:
        """Load the one model file of the folder; LoadFailure tells what is wrong with it."""
        path = select_model_file(self._folder, RUNTIME.extensions)
        self._session = session = PytorchSession(path, trust=self._trust)
        self.row_wise = session.described and is_row_wise(session)
        self.takes_arrays = session.described
        self.ready = True
        return self.ready

    def warm_up(self) -> None:
        """Run zeros where the shapes are known."""
        if self._session is not None and self._session.described:
            self._session.run(make_zeros(self._session.inputs), [])

    def stop(self) -> None:
        """Let the program go."""
        super().stop()
        self._session = None

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs where the file describes them."""
        session = self._session
        return [s.metadata() for s in session.inputs] if session and session.described else []

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs where the file describes them."""
        return [s.metadata() for s in self._session.outputs] if self._session else []

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload; InvalidInput where the program does not take it."""
        del headers, response_headers
        session = self._session
        assert session is not None  # noqa: S101  # a model that is ready has been loaded
        described = session.described
        given = gather_arrays(payload, session.inputs) if described else _gather(payload, session)
        wanted = payload.request_outputs if isinstance(payload, InferRequest) else None
        arrays = session.run(given, [item.name for item in wanted or ()])
        return make_answer(payload, arrays, self.name)


def _gather(payload: Any, session: PytorchSession) -> dict[str, Any]:
    """Return the arrays of a payload by the program's names; shapes are the program's to check."""
    names = [spec.name for spec in session.inputs]
    if isinstance(payload, InferRequest):
        given = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
    else:
        columns = select_columns(payload, names)
        given = {name: make_array(name, column) for name, column in columns.items()}
        given = {name: _in_single(array, session) for name, array in given.items()}
    listed = ", ".join(f'"{name}"' for name in names)
    for name, array in given.items():
        if name not in names:
            raise InvalidInput(f'unknown input "{name}"; the model takes {listed}')
        if array.dtype.kind not in "biuf":
            raise InvalidInput(f'input "{name}" has datatype BYTES; send numbers')
        if not array.size:
            raise InvalidInput(f'input "{name}" has no rows; send at least one')
    missing = [name for name in names if name not in given]
    if missing:
        raise InvalidInput(f'input "{missing[0]}" is missing; the model takes {listed}')
    return given


def _in_single(array: Any, session: PytorchSession) -> Any:
    """Return JSON's numbers as PyTorch's usual kind: fractions in single precision."""
    fractions = array.dtype.kind == "f" or (array.dtype.kind == "i" and session.takes_fractions)
    return as_datatype(array, "FP32") if fractions else array
