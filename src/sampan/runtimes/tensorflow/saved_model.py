"""A SavedModel in TensorFlow: loaded into a session, its signatures described and run.

A session with prepared calls, as TensorFlow Serving has it, serves models of TensorFlow 1 and 2
alike, and costs a small model a tenth of what `tf.saved_model.load` and its functions do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.onnx_session import default_threads
from sampan.runtimes.tensor_specs import ANY, Specs, TensorSpec
from sampan.runtimes.tensorflow.graph_safety import INIT_SIGNATURE, validate_graph
from sampan.runtimes.tensorflow.layout import SAVED_MODEL, validate_folder
from sampan.server.load_failure import LoadFailure, missing_package

if TYPE_CHECKING:
    import numpy as np

    Arrays: TypeAlias = "dict[str, np.ndarray[Any, Any]]"

DEFAULT_SIGNATURE = "serving_default"
DATATYPES = {
    "float32": "FP32", "float64": "FP64", "float16": "FP16", "string": "BYTES", "bool": "BOOL",
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}  # fmt: skip
MEND = "name the TensorFlow that saved it in the requirements of the image (images.yaml)"
"""What makes a model of another version readable: a tag of TensorFlow Serving pins no package."""
_MOST_CALLS = 64
"""Prepared calls kept: one a choice of outputs, of which a client uses few."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How sessions are made: threads of one operator and between operators (0: as the limits say),
    the tags of the graph, and whether graphs may touch files."""

    intra_threads: int = 0
    inter_threads: int = 0
    tags: tuple[str, ...] = ("serve",)
    trust: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature. `feeds` and `fetches` are the graph's tensors by the names that clients use.

    `proto` is the SignatureDef as the model has it. `problem` says why it cannot be asked.
    """

    name: str
    method: str
    inputs: Specs
    outputs: Specs
    feeds: Mapping[str, str]
    fetches: Mapping[str, str]
    proto: Any
    problem: str = ""


class SavedModel:
    """A loaded version. Several threads may ask it at once."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        """Load; LoadFailure tells what is wrong."""
        self._tf = tf = import_tensorflow()
        validate_folder(folder)
        document = _read(tf, folder)
        graph = _select_graph(document, engine.tags, folder)
        if not engine.trust:
            validate_graph(graph, folder.name)
        saved = graph.meta_info_def.tensorflow_version
        self._session, loaded = _open(tf, folder, engine, saved)
        self.signatures = {
            name: _make_signature(tf, name, proto)
            for name, proto in sorted(loaded.signature_def.items())
            if name != INIT_SIGNATURE
        }
        self._calls: dict[tuple[str, tuple[str, ...]], Any] = {}

    @property
    def default(self) -> str:
        """The signature that is asked where a request names none."""
        if DEFAULT_SIGNATURE in self.signatures or not self.signatures:
            return DEFAULT_SIGNATURE
        return str(next(iter(self.signatures)))

    def find(self, name: str) -> Signature:
        """Return a signature that can be asked; InvalidInput in TensorFlow Serving's words."""
        signature = self.signatures.get(name or self.default)
        if signature is None:
            there = ", ".join(f'"{one}"' for one in self.signatures) or "none"
            raise InvalidInput(
                f'Serving signature name: "{name or self.default}" not found in signature def; '
                f"the model has {there}"
            )
        if signature.problem:
            raise InvalidInput(signature.problem)
        return signature

    def run(self, signature: Signature, given: Mapping[str, Any], outputs: Sequence[str]) -> Arrays:
        """Return the outputs of these names; InvalidInput for what the graph refuses."""
        call = self._calls.get((signature.name, tuple(outputs)))
        if call is None:
            call = self._prepare(signature, tuple(outputs))
        try:
            values = call(*[given[name] for name in signature.feeds])
        except self._tf.errors.OpError as error:
            raise _blame(self._tf, error) from error
        except (ValueError, TypeError) as error:  # what NumPy has no tensor for
            raise InvalidInput(f"the model does not take these tensors: {error}") from error
        return {name: _as_array(value) for name, value in zip(outputs, values, strict=True)}

    def _prepare(self, signature: Signature, outputs: tuple[str, ...]) -> Any:
        from tensorflow.core.protobuf.config_pb2 import (  # type: ignore[import-untyped]  # no types
            CallableOptions,
        )

        options = CallableOptions(
            feed=list(signature.feeds.values()), fetch=[signature.fetches[name] for name in outputs]
        )
        # `make_callable`, which is public, costs ten times as much a call.
        made = self._session._make_callable_from_options(options)  # noqa: SLF001  # as said
        if len(self._calls) >= _MOST_CALLS:
            self._calls.clear()
        self._calls[signature.name, outputs] = made
        return made

    def close(self) -> None:
        """Let the session go."""
        self._calls.clear()
        self._session.close()


class BoundSignature:
    """One signature of a model as a session of named tensors (`row_trial.Session`)."""

    def __init__(self, model: SavedModel, signature: Signature) -> None:
        self._model = model
        self._signature = signature
        self.inputs = signature.inputs
        self.outputs = signature.outputs
        tensors = (*self.inputs, *self.outputs)
        self.open_axis = bool(tensors) and all(s.shape and s.shape[0] == ANY for s in tensors)

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Arrays:
        """Return the outputs of these names."""
        return self._model.run(self._signature, given, outputs)


def import_tensorflow() -> Any:
    """Return TensorFlow, told to keep its banners to itself; LoadFailure where there is none."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # warnings of the hardware, one a start
    try:
        import tensorflow as tf  # type: ignore[import-untyped]  # an engine of gigabytes
    except ImportError as error:
        raise missing_package("tensorflow", error, "tensorflow-cpu, or tensorflow") from None
    tf.get_logger().setLevel("ERROR")  # or every load tells that sessions are of TensorFlow 1
    return tf


def _read(tf: Any, folder: Path) -> Any:
    """Return the SavedModel's message: what it says, before anything of it is run."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # as below
    from tensorflow.core.protobuf.saved_model_pb2 import (  # type: ignore[import-untyped]  # TF's
        SavedModel as Document,
    )

    document = Document()
    try:
        document.ParseFromString((folder / SAVED_MODEL).read_bytes())
    except DecodeError as error:
        raise LoadFailure(
            "ModelCorrupt",
            f'"{folder.name}/{SAVED_MODEL}" is no SavedModel ({error}); export it again, and check '
            "that the copy is whole",
        ) from None
    if not document.meta_graphs:
        raise LoadFailure(
            "ModelCorrupt",
            f'"{folder.name}/{SAVED_MODEL}" holds no graph; export it again with TensorFlow '
            f"{tf.__version__} or older",
        )
    return document


def _select_graph(document: Any, tags: tuple[str, ...], folder: Path) -> Any:
    for graph in document.meta_graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            return graph
    there = "; ".join(
        ", ".join(f'"{tag}"' for tag in graph.meta_info_def.tags) or "no tag"
        for graph in document.meta_graphs
    )
    raise LoadFailure(
        "ModelIncompatible",
        f'"{folder.name}/{SAVED_MODEL}" has no graph for {", ".join(tags)} (it has: {there}); '
        "export it for serving, or name its tags with --saved_model_tags",
    )


def _open(tf: Any, folder: Path, engine: Engine, saved: str) -> tuple[Any, Any]:
    """Return a session that holds the model, and its graph; `saved`: by which TensorFlow."""
    v1 = tf.compat.v1
    config = v1.ConfigProto(
        intra_op_parallelism_threads=engine.intra_threads or default_threads(os.environ),
        inter_op_parallelism_threads=engine.inter_threads or default_threads(os.environ),
        gpu_options=v1.GPUOptions(allow_growth=True),  # or the first model takes the whole device
        allow_soft_placement=True,
    )
    session = v1.Session(graph=tf.Graph(), config=config)
    try:
        with session.graph.as_default():
            return session, v1.saved_model.load(session, list(engine.tags), str(folder))
    except Exception as error:
        session.close()
        raise _diagnose(tf, folder, error, saved) from error


def _make_signature(tf: Any, name: str, proto: Any) -> Signature:
    problems: list[str] = []

    def specs(infos: Any, what: str) -> Specs:
        made = []
        for alias, info in sorted(infos.items()):
            datatype = DATATYPES.get(tf.dtypes.as_dtype(info.dtype).name) if info.name else None
            if datatype is None:
                kind = tf.dtypes.as_dtype(info.dtype).name if info.name else "composite tensor"
                problems.append(
                    f'{what} "{alias}" of signature "{name}" is a {kind}, which V2 has no datatype '
                    "for; export a signature of dense numbers or text"
                )
                continue
            shape = info.tensor_shape
            sizes = None if shape.unknown_rank else tuple(int(d.size) for d in shape.dim)
            made.append(TensorSpec(alias, datatype, sizes))
        return tuple(made)

    inputs, outputs = specs(proto.inputs, "input"), specs(proto.outputs, "output")
    if not outputs and not problems:
        problems.append(f'signature "{name}" has no output; export one that answers')
    return Signature(
        name,
        proto.method_name,
        inputs,
        outputs,
        {spec.name: proto.inputs[spec.name].name for spec in inputs},
        {spec.name: proto.outputs[spec.name].name for spec in outputs},
        proto,
        problems[0] if problems else "",
    )


def _as_array(value: Any) -> Any:
    """Return an output as an array: of a text by itself the session gives the text."""
    if not isinstance(value, bytes):
        return value
    import numpy as np

    return np.array(value, dtype=object)


def _blame(tf: Any, error: Any) -> Exception:
    """Return whose fault an error of a run is: values that do not go together are the caller's."""
    text = str(error.message).split("\n", 1)[0].split(" [[{{node", 1)[0].strip()
    callers = (
        tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.FailedPreconditionError
    )  # fmt: skip
    if isinstance(error, callers):
        return InvalidInput(f"the model does not take these tensors: {text}")
    return InferenceError(text)


def _diagnose(tf: Any, folder: Path, error: Exception, saved: str) -> LoadFailure:
    text = " ".join(str(getattr(error, "message", error)).split())
    if "Op type not registered" in text or "unregistered" in text.lower():
        return LoadFailure(
            "ModelIncompatible",
            f'"{folder.name}" was saved with TensorFlow {saved or "of an unknown version"} and '
            f"needs an operator that TensorFlow {tf.__version__} does not have ({text}); "
            f"{MEND}, or export without it",
        )
    errors = tf.errors
    broken = (errors.DataLossError, errors.NotFoundError, errors.OutOfRangeError, OSError)
    if isinstance(error, broken) or "not a valid checkpoint" in text:
        return LoadFailure(
            "ModelCorrupt",
            f'"{folder.name}" is not whole ({text}); export it again, and copy the folder '
            f"with {SAVED_MODEL} and variables",
        )
    return LoadFailure(
        "ModelIncompatible",
        f'"{folder.name}", saved with TensorFlow {saved or "of an unknown version"}, cannot be '
        f"served by TensorFlow {tf.__version__} ({text}); mend the model, or {MEND}",
    )
