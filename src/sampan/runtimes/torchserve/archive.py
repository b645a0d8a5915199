"""A model archive: what it says of itself, and its files in a folder of their own.

An archive is a zip whose `MAR-INF/MANIFEST.json` names handler and model (TorchServe, "Model
Archiver"). Names that leave the folder, links and archives that unpack to very much are refused.
"""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from sampan.machinery.registry import JsonObject
from sampan.runtimes.torchserve.batches import Batch, read_config
from sampan.server.load_failure import LoadFailure

MANIFEST = "MAR-INF/MANIFEST.json"
EXTENSION = ".mar"
_MOST_BYTES = 64 * 1024**3
_MOST_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of its model."""

    name: str
    version: str
    handler: str
    requirements: str
    config: str = ""
    """The file of the archive with the model's settings, `model-config.yaml`."""
    batch: Batch | None = None
    warnings: tuple[str, ...] = ()
    """What its settings say that has no effect."""


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of an archive, or of a folder that is one unpacked; LoadFailure."""
    if path.is_dir():
        file = path / MANIFEST
        if not file.is_file():
            raise _no_archive(path, f'a folder without "{MANIFEST}"')
        return _configured(make_manifest(file.read_bytes(), path), path, _files_of(path))
    try:
        with zipfile.ZipFile(path) as archive:
            validate_names(archive, path)
            return _configured(make_manifest(archive.read(MANIFEST), path), path, archive.read)
    except KeyError:
        raise _no_archive(path, f'a zip without "{MANIFEST}"') from None
    except FileNotFoundError:
        raise LoadFailure(
            "ModelMissing", f'model archive "{path}" is not there; put it into the model store'
        ) from None
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise _no_archive(path, f"no zip ({error})") from None


def _files_of(folder: Path) -> Callable[[str], bytes]:
    """Return what reads a file of an unpacked archive; KeyError for one that is not in it."""

    def read(name: str) -> bytes:
        file = folder / name
        if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
            raise KeyError(name)
        return file.read_bytes()

    return read


def _configured(manifest: Manifest, path: Path, read: Callable[[str], bytes]) -> Manifest:
    """Return the manifest with what the archive's settings say of batches."""
    if not manifest.config:
        return manifest
    place = f'"{manifest.config}" of model archive "{path.name}"'
    try:
        text = read(manifest.config).decode("utf-8", "replace")
    except KeyError:
        raise LoadFailure(
            "ModelCorrupt", f"{place} is not in it; make it with torch-model-archiver"
        ) from None
    batch, warnings = read_config(text, place)
    return replace(manifest, batch=batch, warnings=warnings)


def make_manifest(content: bytes, path: Path) -> Manifest:
    """Return the manifest that a file holds; LoadFailure names what it lacks. Pure."""
    try:
        document: JsonObject = json.loads(content)
        model = document["model"]
        handler = model.get("handler", "")
        if not isinstance(handler, str) or not handler:
            raise _no_archive(path, f"a manifest whose model.handler is {handler!r}")
        return Manifest(
            str(model.get("modelName") or path.stem),
            str(model.get("modelVersion") or "1.0"),
            handler,
            str(model.get("requirementsFile") or ""),
            str(model.get("configFile") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_archive(path, f"a manifest that cannot be read ({error!r})") from None


def validate_names(archive: zipfile.ZipFile, path: Path, most: int = _MOST_BYTES) -> None:
    """Raise LoadFailure for an archive that would leave its folder, or take over `most` bytes."""
    infos = archive.infolist()
    size = sum(info.file_size for info in infos)
    if size > most or len(infos) > _MOST_FILES:
        raise _untrusted(path, f"unpacks to {len(infos)} files of {size} bytes")
    for info in infos:
        name = PurePosixPath(info.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in info.filename:
            raise _untrusted(path, f'holds "{info.filename}", which leaves its folder')
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _untrusted(path, f'holds "{info.filename}", which is a link')


def unpack(path: Path) -> Path:
    """Return a new private folder with an archive's files. Whoever asks removes it; where it
    cannot be filled, nothing is left of it.
    """
    folder = Path(tempfile.mkdtemp(prefix="sampan-mar-"))  # mode 0700
    try:
        _fill(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _fill(folder: Path, path: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, folder, dirs_exist_ok=True)
        return
    with zipfile.ZipFile(path) as archive:
        validate_names(archive, path)
        archive.extractall(folder)


def _untrusted(path: Path, what: str) -> LoadFailure:
    return LoadFailure(
        "ModelUntrusted", f'model archive "{path.name}" {what}; make it with torch-model-archiver'
    )


def _no_archive(path: Path, what: str) -> LoadFailure:
    return LoadFailure(
        "ModelCorrupt", f'model archive "{path.name}" is {what}; make it with torch-model-archiver'
    )
