"""Finds the model file of a folder, and opens it whatever it is compressed with."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from sampan.server.load_failure import LoadFailure

_ZLIB_HEADS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_SHOWN = 5  # names listed in a message


def select_model_file(folder: Path, extensions: tuple[str, ...]) -> Path:
    """Return the one file directly in the folder with one of the extensions; LoadFailure else."""
    if folder.is_file():
        return folder
    wanted = ", ".join(extensions)
    if not folder.is_dir():
        raise LoadFailure(
            "ModelMissing",
            f'model folder "{folder}" does not exist; give the folder that holds the model file '
            f"({wanted})",
        )
    found = sorted(path.name for path in folder.iterdir())
    files = [name for name in found if name.endswith(extensions) and (folder / name).is_file()]
    if len(files) > 1:
        raise LoadFailure(
            "ModelAmbiguous",
            "More than one model file is detected, Only one is allowed within model_dir: "
            f"{_quoted(files)}; leave one of them",
        )
    if not files:
        there = f"it holds {_quoted(found)}" if found else "it is empty"
        raise LoadFailure(
            "ModelMissing",
            f'no model file ({wanted}) in "{folder}"; {there}; save the model under one of these '
            "extensions, or name the model format that fits",
        )
    return folder / files[0]


def sub_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder: the models of multi-model mode."""
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def open_model_file(path: Path) -> BinaryIO:
    """Open for reading the contents, decompressed: gzip, zlib, bz2, xz, lzma, lz4 or none."""
    with path.open("rb") as plain:
        head = plain.read(6)
    if head.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.open(path, "rb"))
    if head.startswith(b"BZh"):
        return cast("BinaryIO", bz2.open(path, "rb"))
    if head.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        return cast("BinaryIO", lzma.open(path, "rb"))
    if head.startswith(_ZLIB_HEADS):
        return io.BytesIO(zlib.decompress(path.read_bytes()))
    if head.startswith(b"\x04\x22\x4d\x18"):
        return _open_lz4(path)
    return path.open("rb")


def _open_lz4(path: Path) -> BinaryIO:
    try:
        import lz4.frame  # type: ignore[import-not-found]  # optional
    except ImportError:
        raise LoadFailure(
            "ModelIncompatible",
            f'model file "{path.name}" is compressed with lz4, which is not in the environment; '
            'add "lz4" to the requirements or save with compress="gzip"',
        ) from None
    return cast("BinaryIO", lz4.frame.open(path, "rb"))


def _quoted(names: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
