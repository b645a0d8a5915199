"""Paddle: a program and its parameters, run by Paddle's inference engine on the CPU."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.json_tensors import as_datatype, make_array, select_columns
from sampan.runtimes.onnx_session import default_threads
from sampan.runtimes.paddle_program import Program, read_program
from sampan.runtimes.row_trial import is_row_wise
from sampan.runtimes.tensor_answers import make_answer
from sampan.runtimes.tensor_specs import (
    ANY,
    Specs,
    TensorSpec,
    gather_arrays,
    make_zeros,
    validate_array,
)
from sampan.server.load_failure import LoadFailure, missing_package
from sampan.server.model import Headers, Model

RUNTIME = Runtime(
    name="kserve-paddleserver",
    server_type="paddleserver",
    formats=(ModelFormat("paddle", "2", priority=1, auto_select=True),),
    protocol_versions=("v1", "v2"),
    images=("kserve/paddleserver", "kserve-paddleserver"),
    model="sampan.runtimes.paddle:PaddleModel",
    extensions=(".pdmodel", ".pdiparams"),
    requirements=(*SERVER_REQUIREMENTS, "paddlepaddle>=3.0", "setuptools"),  # it imports both
    package="",  # a tag names KServe's release
    preload=(*SERVER_PRELOAD, "sampan.runtimes.paddle"),  # Paddle itself starts threads
    entry_arguments=("--runtime=paddle", "--grpc_port=0"),
    forks=False,
)

_PROGRAMS, _PARAMETERS = (".pdmodel", ".json"), ".pdiparams"
_OUTPUT = "output-0"
_WARM_ROUNDS = 2


class PaddleModel(Model):
    """One program. As KServe's server it answers the first output, in single precision."""

    quick = True
    takes_arrays = True
    takes_headers = False
    platform = "paddle"

    def __init__(
        self,
        name: str,
        model_dir: str,
        *,
        trust: bool = False,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        del allowed  # nothing is unpickled
        super().__init__(name)
        self._folder = Path(model_dir)
        self._trust = trust
        self._session: PaddleSession | None = None

    def load(self) -> bool:
        """Load the program and its parameters; LoadFailure tells what is wrong with them."""
        program, parameters = select_files(self._folder)
        told = read_program(program)
        if told.forbidden and not self._trust:
            raise LoadFailure(
                "ModelUntrusted",
                f'model file "{program.name}" has the operator "{told.forbidden[0]}", which '
                "touches files, other machines or Python; export it without, or, if you trust "
                'where it comes from, set the annotation serving.sampan.dev/trust: "true" (or '
                "start the server with --trust)",
            )
        self._session = PaddleSession(program, parameters, told)
        self.row_wise = is_row_wise(self._session)
        self.ready = True
        return self.ready

    def warm_up(self) -> None:
        """Run zeros where the shapes are known."""
        session = self._session
        if session is not None and all(spec.shape for spec in session.inputs):
            for _ in range(_WARM_ROUNDS):
                session.run(make_zeros(session.inputs), [])

    def stop(self) -> None:
        """Let the program go."""
        super().stop()
        self._session = None

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs of the program."""
        return [spec.metadata() for spec in self._session.inputs] if self._session else []

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the one output that is answered."""
        return [spec.metadata() for spec in self._session.outputs] if self._session else []

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
        return make_answer(payload, session.run(_gather(payload, session), []), self.name)


class PaddleSession:
    """A loaded program. One run at a time: its tensors belong to it."""

    def __init__(self, program: Path, parameters: Path, told: Program) -> None:
        """Load; LoadFailure tells what is wrong."""
        try:
            from paddle import inference  # type: ignore[import-not-found]  # hundreds of megabytes
        except ImportError as error:
            raise missing_package("paddle", error, "paddlepaddle") from None
        config = inference.Config(str(program), str(parameters))
        config.disable_gpu()
        config.disable_glog_info()
        config.set_cpu_math_library_num_threads(default_threads(os.environ) or 1)
        try:
            self._predictor = inference.create_predictor(config)
        except Exception as error:
            raise LoadFailure(
                "ModelIncompatible",
                f'model file "{program.name}" cannot be run ({_last_line(error)}); save it and '
                f'"{parameters.name}" again, together, with the Paddle that is installed',
            ) from error
        described = {spec.name: spec for spec in told.inputs}
        names = self._predictor.get_input_names()
        self.inputs: Specs = tuple(described.get(name, TensorSpec(name, "FP32")) for name in names)
        self._lock = threading.Lock()
        self.outputs: Specs = (self._observe(),)
        tensors = (*self.inputs, *self.outputs)
        self.open_axis = all(spec.shape and spec.shape[0] == ANY for spec in tensors)

    def _observe(self) -> TensorSpec:
        """Return the output, of what it is for one row of zeros and for two."""
        unknown = TensorSpec(_OUTPUT, "FP32")
        if not all(spec.shape for spec in self.inputs):
            return unknown
        try:
            one, two = (
                self.run(make_zeros(self.inputs, rows), [])[_OUTPUT].shape for rows in (1, 2)
            )
        except InvalidInput:
            return unknown  # it wants other values or sizes than these
        if len(one) != len(two):
            return unknown
        return TensorSpec(
            _OUTPUT, "FP32", tuple(a if a == b else ANY for a, b in zip(one, two, strict=True))
        )

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        """Return the first output by its name; InvalidInput for what the program refuses."""
        del outputs  # there is one
        predictor = self._predictor
        try:
            with self._lock:
                for name, array in given.items():
                    predictor.get_input_handle(name).copy_from_cpu(array)
                predictor.run()
                first = predictor.get_output_handle(predictor.get_output_names()[0])
                made = first.copy_to_cpu()
        except (ValueError, RuntimeError, TypeError) as error:
            raise InvalidInput(
                f"the model does not take these tensors: {_last_line(error)}"
            ) from error
        return {_OUTPUT: made.astype("float32", copy=False)}


def select_files(folder: Path) -> tuple[Path, Path]:
    """Return the one program and the one file of parameters; LoadFailure, in KServe's words."""
    programs: list[Path] = []
    for ending in _PROGRAMS:
        programs = programs or _files(folder, ending)
    if not programs:
        raise _missing(folder, "'.pdmodel' or '.json'")
    parameters = _files(folder, _PARAMETERS)
    if not parameters:
        raise _missing(folder, "'.pdiparams'")
    return programs[0], parameters[0]


def _files(folder: Path, ending: str) -> list[Path]:
    found = sorted(p for p in folder.glob(f"*{ending}") if p.is_file()) if folder.is_dir() else []
    if len(found) > 1:
        names = ", ".join(f'"{path.name}"' for path in found)
        raise LoadFailure(
            "ModelAmbiguous", f"More than one {ending} model file found: {names}; leave one"
        )
    return found


def _missing(folder: Path, ending: str) -> LoadFailure:
    there = (
        ", ".join(f'"{p.name}"' for p in sorted(folder.iterdir())[:5]) if folder.is_dir() else ""
    )
    return LoadFailure(
        "ModelMissing",
        f'Missing model file with extension {ending} in "{folder}" (it holds '
        f"{there or 'nothing'}); put there what paddle.jit.save wrote",
    )


def _gather(payload: Any, session: PaddleSession) -> dict[str, Any]:
    """Return the arrays of a payload. Of a program with one input its name does not matter, and any
    numbers are taken (KServe's server casts to single precision)."""
    if len(session.inputs) != 1:
        return gather_arrays(payload, session.inputs)
    (spec,) = session.inputs
    if isinstance(payload, InferRequest):
        if not payload.inputs:
            raise InvalidInput(f"the request has no input; send {spec}")
        array = payload.inputs[0].as_numpy()
    else:
        (column,) = select_columns(payload, [spec.name]).values()
        array = make_array(spec.name, column)
    if array.dtype.kind not in "iuf":
        raise InvalidInput(f'input "{spec.name}" holds no numbers; send {spec.datatype}')
    cast = as_datatype(array, spec.datatype)
    validate_array(cast, spec)
    return {spec.name: cast}


def _last_line(error: Exception) -> str:
    """Return what an error of Paddle says: the line that its stack and hints stand around."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "Error:" in line or "Expected" in line]
    said = (told or lines or [type(error).__name__])[-1]
    return said.split(" (at /", 1)[0].strip("[] ").removeprefix("Hint: ")
