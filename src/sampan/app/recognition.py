"""`sampan run MODEL`: the format of a file or folder, why, and the InferenceService for it.

The service names the format; which runtime serves it is decided as for any other. What cannot be
served as it lies is told with what would mend it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sampan.app.bento_folder import gather_bento_annotations, gather_bento_name
from sampan.app.file_signs import Sign, gather_sign
from sampan.app.folder_signs import gather_folder_signs
from sampan.app.python_signs import (
    describe_python,
    gather_python,
    gather_python_files,
    gather_requirements,
    select_main,
)
from sampan.app.recognised_objects import make_objects, make_python_objects
from sampan.machinery.registry import JsonObject

FORMATS = (
    "sklearn", "xgboost", "lightgbm", "catboost", "pmml", "mlflow", "onnx", "tensorflow", "pytorch",
    "triton", "paddle", "huggingface", "mlserver", "autogluon", "bentoml", "torchscript", "python",
)  # fmt: skip
"""What is recognised and has a service."""

_MENDS = {
    "mar": (
        "TorchServe serves a folder: put the archive into FOLDER/model-store and "
        "config.properties into FOLDER/config, and run FOLDER"
    ),
    "torch-weights": (
        "it holds weights, no program: save the whole model with torch.jit.save or torch.export, "
        "or archive it with torch-model-archiver"
    ),
}
"""What is recognised and is no model that a runtime takes as it lies."""


class Unrecognised(Exception):
    """A path that no service can be made for; says what was looked at and what would mend it."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A model: its format, why it is that, and the objects that serve it."""

    sign: Sign
    objects: tuple[JsonObject, ...] = field(default=())


def recognise(path: Path, name: str = "") -> Recognised:
    """Return what a file or folder is, and objects to serve it; Unrecognised, OSError."""
    signs = gather_folder_signs(path) if path.is_dir() else _of_file(path)
    if not signs:
        known = ", ".join(FORMATS)
        raise Unrecognised(
            f'"{path}" is no model of a format that is known by its content ({known}); write an '
            "InferenceService that names its format"
        )
    if len(signs) > 1:
        listed = "; ".join(f"{sign.format}, because {sign.why}" for sign in signs)
        raise Unrecognised(
            f'"{path}" holds models of several formats ({listed}); name the file of one'
        )
    (sign,) = signs
    if sign.format in _MENDS:
        mend = _MENDS[sign.format]
        raise Unrecognised(f'"{path}" is {sign.why}; {mend}')
    if sign.format == "python":
        return _recognise_python(path, name)
    annotations: Mapping[str, str] = {}
    if sign.format == "bentoml":
        annotations = gather_bento_annotations(path)
        name = name or make_name(Path(gather_bento_name(path) or path))
    objects = make_objects(sign.format, path, name or make_name(path), annotations)
    return Recognised(sign, tuple(objects))


def _recognise_python(path: Path, name: str) -> Recognised:
    """Return the service of a person's own Python, and which file it runs with which packages;
    Unrecognised where it may be several.
    """
    files = gather_python_files(path) if path.is_dir() else [gather_python(path)]
    found = [one for one in files if one is not None]
    chosen = select_main(found)
    if chosen is None:
        listed = ", ".join(f"{one.path.name}:{kind}" for one in found for kind in one.classes)
        raise Unrecognised(
            f'"{path}" holds several models ({listed}); serve them by name: sampan serve '
            f"{found[0].path}:{found[0].classes[0]}, or start one ModelServer with all of them"
        )
    try:
        packages = gather_requirements(chosen.path.resolve())
    except ValueError as error:
        raise Unrecognised(str(error)) from None
    why = describe_python(chosen)
    why = f'"{chosen.path.name}" is {why}' if path.is_dir() else why
    why += f"; with the packages {', '.join(packages)}" if packages else ""
    objects = make_python_objects(chosen, name or make_name(path), packages)
    return Recognised(Sign("python", why), tuple(objects))


def _of_file(path: Path) -> list[Sign]:
    sign = gather_sign(path)
    if sign is None and path.name.endswith(".pdmodel"):
        sign = Sign("paddle", "Paddle's older form of a program")
    return [] if sign is None else [sign]


def make_name(path: Path) -> str:
    """Return a service's name of a path: lower case letters, digits and hyphens, a letter first."""
    stem = path.resolve().name if path.is_dir() else path.name.partition(".")[0]
    if stem in {"model", "models", "model-repository"} and path.resolve().parent.name:
        stem = path.resolve().parent.name  # everybody's model is called "model"
    plain = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    plain = re.sub(r"^[^a-z]+", "", plain)[:40].rstrip("-")
    return plain or "model"
