"""An ONNX model in onnxruntime: loaded, described, run. What is wrong with a file is told in words.

Operators outside the model (`register_custom_ops_library`) are native code and are never loaded.
Weights beside the model are read only from its own folder: onnxruntime 1.24 is the first that sees
to it, which is why no older one is served.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.tensor_specs import ANY, Specs, TensorSpec
from sampan.server.load_failure import LoadFailure, missing_package

if TYPE_CHECKING:
    import numpy as np

    Arrays: TypeAlias = "dict[str, np.ndarray[Any, Any]]"

_DATATYPES = {
    "float": "FP32", "double": "FP64", "float16": "FP16", "string": "BYTES", "bool": "BOOL",
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}  # fmt: skip
_TENSOR = re.compile(r"tensor\((\w+)\)")
_TOO_NEW = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
_OPSET = re.compile(
    r"Opset (\d+) is under development.*domain (\S+) is till opset (\d+)", re.DOTALL
)
_NOISE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : (/\S+:\d+ .*?\) )?")
_SPECIAL = ("CUDAExecutionProvider",)
"""Providers of devices that are used where the installed onnxruntime has them and they start."""


class OnnxSession:
    """A loaded model. Several threads may run it at once."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        """Load; LoadFailure tells what is wrong. `threads` of one run, 0: as the limits say."""
        self._session = _open(path, threads)
        self.inputs = _specs(self._session.get_inputs(), path, "input")
        self.outputs = _specs(self._session.get_outputs(), path, "output")
        self.open_axis = _open_axis(self._session)
        self._texts = [spec.name for spec in self.inputs if spec.datatype == "BYTES"]

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Arrays:
        """Return the outputs of these names. InvalidInput for what the model itself refuses."""
        feed: Mapping[str, Any] = given
        if self._texts:
            feed = {**given, **{name: _as_text(name, given[name]) for name in self._texts}}
        try:
            values = self._session.run(outputs, feed)
        except Exception as error:
            raise _blame(error) from error
        return dict(zip(outputs, values, strict=True))


def select_providers(available: Sequence[str]) -> list[str]:
    """Return the execution providers to ask for: a device's where there is one, then the CPU's."""
    return [*(name for name in _SPECIAL if name in available), "CPUExecutionProvider"]


def _open(path: Path, threads: int) -> Any:
    try:
        import onnxruntime as ort  # type: ignore[import-untyped]  # ships no types
    except ImportError as error:
        raise missing_package("onnxruntime", error) from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or default_threads(os.environ)
    options.log_severity_level = 3  # errors; the rest is told by what is raised
    # Threads that wait in a loop for the next run take the CPU from everybody else on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(
            str(path), options, providers=select_providers(ort.get_available_providers())
        )
    except Exception as error:
        raise _diagnose(path, error, ort.__version__) from error


def default_threads(environ: Mapping[str, str]) -> int:
    """Return the threads of one run: what OMP_NUM_THREADS says (a CPU limit sets it), 0: all."""
    value = environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdigit() else 0


def _specs(nodes: Sequence[Any], path: Path, what: str) -> Specs:
    specs = []
    for node in nodes:
        found = _TENSOR.fullmatch(node.type)
        datatype = _DATATYPES.get(found[1]) if found else None
        if datatype is None:
            raise LoadFailure(
                "ModelIncompatible",
                f'{what} "{node.name}" of model file "{path.name}" is a "{node.type}", which V2 '
                "has no datatype for; convert the model to tensors of numbers or text "
                "(skl2onnx: zipmap=False)",
            )
        shape = tuple(size if isinstance(size, int) else ANY for size in node.shape)
        specs.append(TensorSpec(node.name, datatype, shape))
    return tuple(specs)


def _open_axis(session: Any) -> bool:
    """Whether the first size of every tensor is open, and of one name where they are named."""
    nodes = (*session.get_inputs(), *session.get_outputs())
    if not all(node.shape and not isinstance(node.shape[0], int) for node in nodes):
        return False
    return len({node.shape[0] for node in nodes if node.shape[0]}) <= 1


def _as_text(name: str, array: Any) -> Any:
    import numpy as np

    try:
        flat = [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel()]
    except UnicodeDecodeError as error:
        raise InvalidInput(f'input "{name}" holds bytes that are no UTF-8 ({error})') from None
    made = np.empty(len(flat), dtype=object)
    made[:] = flat
    return made.reshape(array.shape)


def _blame(error: Exception) -> Exception:
    """Return whose fault an error of a run is: shapes that do not go together are the caller's."""
    text = _NOISE.sub("", str(error)).strip()
    if type(error).__name__ in {"InvalidArgument", "Fail", "RuntimeException"}:
        return InvalidInput(f"the model does not take these tensors: {text}")
    return InferenceError(text)


def _diagnose(path: Path, error: Exception, installed: str) -> LoadFailure:
    """Tell a file of a newer ONNX from one that is no model."""
    text = str(error)
    newer = _TOO_NEW.search(text)
    if newer:
        return LoadFailure(
            "ModelIncompatible",
            f'model file "{path.name}" has ONNX IR version {newer[1]}, and onnxruntime {installed} '
            f"reads up to {newer[2]}; set runtimeVersion to a newer onnxruntime, or save the model "
            f"with IR version {newer[2]}",
        )
    opset = _OPSET.search(text)
    if opset:
        return LoadFailure(
            "ModelIncompatible",
            f'model file "{path.name}" has opset {opset[1]} of {opset[2]}, and onnxruntime '
            f"{installed} reads up to {opset[3]}; set runtimeVersion to a newer onnxruntime, or "
            f"export the model with opset {opset[3]}",
        )
    said = " ".join(_NOISE.sub("", text).split())
    if type(error).__name__ in {"InvalidProtobuf", "InvalidArgument", "NoSuchFile"}:
        mend = "export it again, and check that the copy is whole"
        return LoadFailure(
            "ModelCorrupt", f'model file "{path.name}" is no ONNX model ({said}); {mend}'
        )
    return LoadFailure(
        "ModelIncompatible",
        f'model file "{path.name}" cannot be served by onnxruntime {installed} ({said}); mend the '
        "model, or set runtimeVersion to an onnxruntime that reads it",
    )
