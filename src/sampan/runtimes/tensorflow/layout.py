"""Where a model's versions lie: numbered folders of a base path, or one model right in it.

TensorFlow Serving knows numbered folders only. One SavedModel or Keras file without a number is
version 1 here, as other runtimes take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sampan.server.load_failure import LoadFailure

SAVED_MODEL = "saved_model.pb"
KERAS_FILES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True, slots=True)
class Found:
    """A version: a folder with a SavedModel, or a Keras file."""

    number: int
    path: Path

    @property
    def is_keras(self) -> bool:
        """Whether it is a file of Keras."""
        return self.path.name.endswith(KERAS_FILES)


def gather_versions(base: Path) -> dict[int, Found]:
    """Return the versions of a base path in their order; LoadFailure for several files."""
    if base.is_file():
        return {1: Found(1, base)} if base.name.endswith(KERAS_FILES) else {}
    flat = gather_artefact(base)
    if flat is not None:
        return {1: Found(1, flat)}
    found = {}
    for folder in base.iterdir() if base.is_dir() else ():
        if not (folder.is_dir() and folder.name.isdecimal() and folder.name.isascii()):
            continue
        path = gather_artefact(folder)
        if path is not None:
            found[int(folder.name)] = Found(int(folder.name), path)
    return dict(sorted(found.items()))


def gather_artefact(folder: Path) -> Path | None:
    """Return what a folder holds of TensorFlow: itself, a Keras file in it, or None."""
    if (folder / SAVED_MODEL).is_file():
        return folder
    if not folder.is_dir():
        return None
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name.endswith(KERAS_FILES))
    if len(files) > 1:
        names = ", ".join(f'"{path.name}"' for path in files)
        raise LoadFailure(
            "ModelAmbiguous", f'"{folder.name}" holds several Keras files: {names}; leave one'
        )
    return files[0] if files else None


def gather_models(root: Path) -> list[str]:
    """Return the names of a folder's models: its folders that have a version."""
    if not root.is_dir():
        return []
    return sorted(
        folder.name
        for folder in root.iterdir()
        if folder.is_dir() and not folder.name.startswith(".") and gather_versions(folder)
    )


def missing_model(base: Path) -> LoadFailure:
    """Return the failure of a base path without a version."""
    if not base.exists():
        there = "it does not exist"
    elif base.is_file():
        there = "it is a file of another format"
    else:
        names = [f'"{path.name}"' for path in sorted(base.iterdir())[:5]]
        there = f"it holds {', '.join(names)}" if names else "it is empty"
    return LoadFailure(
        "ModelMissing",
        f'no SavedModel and no Keras file in "{base}" ({there}); put {SAVED_MODEL} and variables '
        'into it, or into a folder with the version\'s number, as in "1"',
    )


def validate_folder(folder: Path) -> None:
    """Raise LoadFailure where a SavedModel's files lead out of its folder."""
    home = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if not path.resolve().is_relative_to(home):
            raise LoadFailure(
                "ModelUntrusted",
                f'"{path.relative_to(folder)}" of "{folder.name}" leads out of the model\'s '
                "folder; put the file itself there",
            )
