"""What a model file's bytes say of its format. Reads the file, runs and unpickles nothing.

Each sign says why, in words that a person can check. Endings count for nothing: `.bst` is XGBoost's
or LightGBM's, `.json` XGBoost's, Paddle's or nobody's.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from sampan.app.python_signs import describe_python, gather_python

_HEAD = 64 * 1024
_MOST = 64 * 2**20  # of a pickle that is looked through for names
_PICKLED = re.compile(rb"\b(sklearn|xgboost|lightgbm|catboost)\.[a-z_0-9.]+")
_ONNX = re.compile(rb"\x08[\x01-\x20]")
"""`ir_version` first, a small number: how every ONNX writer begins."""


class Sign(NamedTuple):
    """A format, and why: what was seen in the file."""

    format: str
    why: str


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    head: bytes
    names: frozenset[str]
    """The paths within an archive; empty where it is none."""


_Look: TypeAlias = "Callable[[_File], Sign | None]"


def gather_sign(path: Path) -> Sign | None:
    """Return what a file is, None where nothing in it says so; OSError where it cannot be read."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    seen = _File(path, head, _archive_names(path))
    return next((sign for look in _LOOKS if (sign := look(seen)) is not None), None)


def _archive_names(path: Path) -> frozenset[str]:
    if not zipfile.is_zipfile(path):
        return frozenset()
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return frozenset()


def _look_archive(file: _File) -> Sign | None:
    names = file.names
    inner = {name.partition("/")[2] for name in names}
    if "schema.json" in names:
        return Sign("sklearn", 'an archive with "schema.json": skops wrote it')
    if {"config.json", "metadata.json"} <= names:
        return Sign(
            "tensorflow", 'an archive with "config.json" and "metadata.json": Keras wrote it'
        )
    if "MAR-INF/MANIFEST.json" in names:
        return Sign("mar", 'an archive with "MAR-INF/MANIFEST.json": torch-model-archiver wrote it')
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return Sign("torchscript", 'an archive with "code" and "constants.pkl": TorchScript')
    if any(name.endswith(("archive_format", "exported_program.json")) for name in names):
        return Sign("torchscript", "an archive of torch.export")
    if "data.pkl" in inner:
        return Sign("torch-weights", 'an archive with "data.pkl" alone: torch.save wrote it')
    return None


def _look_booster(file: _File) -> Sign | None:
    head = file.head
    if head.startswith(b"tree\nversion="):
        return Sign("lightgbm", 'it begins with "tree", "version=": LightGBM\'s text')
    if head.startswith(b"CBM1"):
        return Sign("catboost", 'it begins with "CBM1": CatBoost\'s own format')
    if head.startswith(b"binf") or re.search(rb"(binary|multi|reg|rank|count):[a-z]+", head[:1024]):
        return Sign("xgboost", "it names an objective of XGBoost in its head: its binary format")
    return None


def _look_document(file: _File) -> Sign | None:
    head = file.head
    start = head.lstrip()[:1]
    if start == b"{" and b'"base_code"' in head and b'"pir"' in head:
        return Sign("paddle", 'JSON with "base_code" of "pir": Paddle wrote it')
    if start == b"{" and b'"learner"' in head:
        return Sign("xgboost", 'JSON with "learner": XGBoost\'s save_model wrote it')
    if head.startswith(b"{L") and b"learner" in head:
        return Sign("xgboost", 'UBJSON with "learner": XGBoost\'s save_model wrote it')
    if start == b"<" and b"<PMML" in head[:4096]:
        return Sign("pmml", 'XML with the element "PMML"')
    return None


def _look_graph(file: _File) -> Sign | None:
    head = file.head
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        if b"model_config" in file.path.read_bytes()[:_MOST]:
            return Sign("tensorflow", 'HDF5 with "model_config": Keras wrote it')
        return None
    if head[4:8] == b"ORTM":
        return Sign("onnx", 'the mark "ORTM" of ONNX Runtime\'s own format')
    named = file.path.name.endswith(".onnx") or b"onnx" in head[:256] or b"pytorch" in head[:64]
    if _ONNX.match(head) and named:
        return Sign("onnx", "a message that begins with ONNX's version of its format")
    return None


def _look_pickle(file: _File) -> Sign | None:
    """Search a pickle for the modules that it names, decompressed, without loading it."""
    from sampan.runtimes.model_files import open_model_file
    from sampan.server.load_failure import LoadFailure

    try:
        with closing(open_model_file(file.path)) as opened:
            data = opened.read(_MOST)
    except (OSError, EOFError, ValueError, LoadFailure):
        return None
    if not data.startswith((b"\x80", b"csklearn", b"ccopy_reg")):
        return None
    found = _PICKLED.search(data)
    if found is None:
        return None
    return Sign("sklearn", f'a pickle that names "{found[0].decode().rstrip(".")}"')


def _look_python(file: _File) -> Sign | None:
    """Look for a model's class; text has no mark of its own, so here the ending counts."""
    found = gather_python(file.path) if file.path.suffix == ".py" else None
    return None if found is None else Sign("python", describe_python(found))


_LOOKS: tuple[_Look, ...] = (
    _look_archive, _look_document, _look_booster, _look_graph, _look_pickle,
    _look_python,
)  # fmt: skip
