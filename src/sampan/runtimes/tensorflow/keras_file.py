"""A Keras file made a SavedModel: looked through first, then rebuilt by Keras and exported.

`.keras` is an archive with the layers as JSON; `.h5` holds the same as an attribute. Keras rebuilds
classes by the names found there, so a file may name any: what is not Keras's own is refused before
Keras sees it, and Keras's safe mode is on. A `Lambda` layer is Python's bytecode.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.runtimes.tensorflow.saved_model import MEND, import_tensorflow
from sampan.server.load_failure import LoadFailure

_CONFIG = "config.json"
_MOST_BYTES = 64 * 2**20  # of the layers' JSON, which nobody writes by hand
_RUNS_CODE = frozenset(
    {
        "Lambda", "__lambda__", "function", "TorchModuleWrapper", "TFSMLayer", "JaxLayer",
        "FlaxLayer",
    }
)  # fmt: skip
"""Classes of Keras that hold code, or load it from elsewhere."""
_FILES = frozenset({"StringLookup", "IntegerLookup", "TextVectorization"})
"""Layers whose vocabulary may be a path: Keras then reads that file."""
_TRUST = (
    'if you trust where the model comes from, set the annotation serving.sampan.dev/trust: "true" '
    "(or start the server with --trust)"
)


@contextmanager
def exported(path: Path, *, trust: bool) -> Iterator[Path]:
    """Yield a folder with the SavedModel of a Keras file; it is gone after. LoadFailure else."""
    if not trust:
        validate_layers(read_layers(path), path.name)
    import_tensorflow()
    import keras  # type: ignore[import-not-found]  # comes with TensorFlow

    try:
        model = keras.models.load_model(str(path), compile=False, safe_mode=not trust)
    except Exception as error:
        raise _diagnose(path, error, keras.__version__) from error
    with tempfile.TemporaryDirectory(prefix="sampan-keras-") as folder:  # mode 0700
        model.export(folder, format="tf_saved_model", verbose=False)
        yield Path(folder)


def read_layers(path: Path) -> JsonObject:
    """Return the layers that a Keras file names; LoadFailure where it is none or unsafe."""
    try:
        text = _read_archive(path) if zipfile.is_zipfile(path) else _read_hdf5(path)
        document = json.loads(text)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, RecursionError) as error:
        raise LoadFailure(
            "ModelCorrupt",
            f'model file "{path.name}" is no Keras model ({error}); save it again with model.save',
        ) from None
    if not isinstance(document, dict):
        raise LoadFailure(
            "ModelCorrupt", f'model file "{path.name}" names no layers; save the whole model again'
        )
    return document


def _read_archive(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            inner = PurePosixPath(item.filename)
            if inner.is_absolute() or ".." in inner.parts or "\\" in item.filename:
                raise _untrusted(path.name, f'the path "{item.filename}", which leads out of it')
        if archive.getinfo(_CONFIG).file_size > _MOST_BYTES:
            raise ValueError(f"{_CONFIG} is larger than {_MOST_BYTES} bytes")
        return archive.read(_CONFIG).decode()


def _read_hdf5(path: Path) -> str:
    import h5py  # type: ignore[import-not-found]  # comes with TensorFlow

    outside: list[str] = []  # what is raised in a visit does not come through

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            outside.append(name)

    def visit_link(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            outside.append(name)

    with h5py.File(path, "r") as file:
        file.visititems_links(visit_link)
        if not outside:  # it would be followed
            file.visititems(visit)
        if outside:
            raise _untrusted(path.name, f'"{outside[0]}", which lies in another file')
        if "model_config" not in file.attrs:
            raise ValueError("it holds weights without layers")
        said = file.attrs["model_config"]
        return said.decode() if isinstance(said, bytes) else str(said)


def validate_layers(document: Any, name: str) -> None:
    """Raise LoadFailure where a model names what is not Keras's own, or runs code of the file."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            problem = _problem(value)
            if problem:
                raise _untrusted(name, problem)
            waiting += value.values()


def _problem(value: JsonObject) -> str:
    """Return what makes an object of the layers' JSON unsafe; "" where nothing does."""
    kind, module = value.get("class_name"), value.get("module")
    if kind in _RUNS_CODE:
        return f'a "{kind}", which runs code of the file'
    if isinstance(module, str) and module.partition(".")[0] not in {"keras", "builtins"}:
        return f'"{module}.{kind}", which is not Keras\'s own'
    if isinstance(module, str) and module.startswith(
        ("keras.src.utils", "keras.utils", "builtins")
    ):
        return f'"{module}.{kind}", which is no layer'
    registered = value.get("registered_name")
    if kind is not None and isinstance(registered, str) and ">" in registered:
        return f'"{registered}", which is not Keras\'s own'
    config = value.get("config")
    if kind in _FILES and isinstance(config, dict) and isinstance(config.get("vocabulary"), str):
        return f'the file "{config["vocabulary"]}" as the vocabulary of a "{kind}"'
    return ""


def _untrusted(name: str, what: str) -> LoadFailure:
    return LoadFailure(
        "ModelUntrusted", f'model file "{name}" holds {what}; leave it out, or, {_TRUST}'
    )


def _diagnose(path: Path, error: Exception, installed: str) -> LoadFailure:
    text = " ".join(str(error).split())[:500]
    if "Lambda" in text or "unsafe" in text.lower():
        return _untrusted(path.name, f"what Keras does not load ({text})")
    return LoadFailure(
        "ModelIncompatible",
        f'model file "{path.name}", saved with Keras {_saved_version(path)}, cannot be read by '
        f"Keras {installed} ({text}); save it with that Keras or an older one, or {MEND}",
    )


def _saved_version(path: Path) -> str:
    """Return the version of Keras that wrote a file, as it tells it."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json"))["keras_version"])
        import h5py

        with h5py.File(path) as file:
            return str(file.attrs["keras_version"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return "of an unknown version"
