"""What a model repository holds: models, their configuration and versions. Reads folders.

A version is a folder whose name is a number from 1; anything else beside it is left alone (Triton,
"Model Repository").
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sampan.machinery.registry import JsonObject
from sampan.runtimes.triton import pbtxt
from sampan.runtimes.triton.config import CONFIG_FILE, FILES
from sampan.runtimes.triton.schema import ROOT
from sampan.server.load_failure import LoadFailure

ONNX_FILES = (".onnx", ".ort")


@dataclass(frozen=True, slots=True)
class Found:
    """A model's folder. `flat` is the one file of a folder that is no repository."""

    name: str
    folder: Path
    flat: Path | None = None


def gather_models(root: Path, flat_name: str) -> dict[str, Found]:
    """Return the models of a repository by name.

    A folder with a model file right in it is one model, of the name `flat_name`, version 1: what
    other runtimes take is taken here too.
    """
    if root.is_file() and root.name.endswith(ONNX_FILES):
        return {flat_name: Found(flat_name, root.parent, root)}
    if not root.is_dir():
        raise LoadFailure(
            "ModelMissing",
            f'model repository "{root}" does not exist; give the folder that holds the models',
        )
    files = [path for path in sorted(root.iterdir()) if path.name.endswith(ONNX_FILES)]
    if len(files) > 1:
        names = ", ".join(f'"{path.name}"' for path in files)
        raise LoadFailure(
            "ModelAmbiguous",
            f'"{root}" holds several model files: {names}; leave one, or make a model repository: '
            "MODEL/VERSION/model.onnx",
        )
    if files:
        return {flat_name: Found(flat_name, root, files[0])}
    return {
        path.name: Found(path.name, path)
        for path in sorted(root.iterdir())
        if path.is_dir() and not path.name.startswith(".") and is_inside(path, root)
    }


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path, its links followed, lies in a folder."""
    return path.resolve().is_relative_to(root.resolve())


def gather_versions(found: Found) -> list[int]:
    """Return the numbers of a model's versions, in their order."""
    if found.flat is not None:
        return [1]
    names = [path.name for path in found.folder.iterdir() if path.is_dir()]
    return sorted(int(name) for name in names if name.isdecimal() and name[0] != "0")


def read_document(found: Found) -> JsonObject:
    """Return the configuration as it is written; empty where there is none."""
    path = found.folder / CONFIG_FILE
    if found.flat is not None or not path.exists():
        return {}
    try:
        return pbtxt.parse(path.read_text("utf-8"), ROOT)
    except (pbtxt.PbtxtError, UnicodeDecodeError) as error:
        raise LoadFailure(
            "ModelIncompatible", f'model "{found.name}", {CONFIG_FILE}: {error}'
        ) from None


def guess_backend(found: Found, document: JsonObject) -> JsonObject:
    """Return the configuration with the backend that a version's file tells, if it names none."""
    said = document.get("backend") or document.get("platform")
    if said or document.get("ensemble_scheduling") is not None:
        return document
    if found.flat is not None:
        return {**document, "backend": "onnxruntime"}
    for version in gather_versions(found):
        for backend, file in FILES.items():
            if (found.folder / str(version) / file).exists():
                return {**document, "backend": backend}
    return document


def version_path(found: Found, version: int, file: str) -> Path:
    """Return the file of a version; LoadFailure where it is not there or lies elsewhere."""
    if found.flat is not None:
        return found.flat
    path = found.folder / str(version) / file
    if not path.exists():
        raise LoadFailure(
            "ModelMissing",
            f'model "{found.name}" has no "{version}/{file}"; put the model there, or name its '
            "file in default_model_filename",
        )
    if not is_inside(path, found.folder):
        raise LoadFailure(
            "ModelUntrusted",
            f'"{version}/{file}" of model "{found.name}" leads out of the model\'s folder; put the '
            "file itself there",
        )
    return path
