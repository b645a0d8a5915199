"""Layers of an image, unpacked each by itself and laid over each other.

Only what is below `models/` counts (KServe, storage initializer). A layer's tree keeps the marks by
which it takes away what lies below it (image specification, "Whiteouts"); they act when layers are
merged. No link is followed before all layers are in place and every link was checked.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from sampan.storage.archive.names import is_file_name, select_member_path
from sampan.storage.archive.read import MeteredReader
from sampan.storage.archive.tar import write_member
from sampan.storage.archive.tree import Tree, validate_link
from sampan.storage.base import StorageError
from sampan.storage.blobs import share

MODELS = "models"
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_PIECE_BYTES = 1024**2
_SHOWN = 20


def unpack_layer(data: MeteredReader, tree: Tree, below: str) -> list[str]:
    """Write what a layer has below a folder (all, where that is ""); return its top entries."""
    tops: dict[str, None] = {}
    with tarfile.open(fileobj=cast("BinaryIO", data), mode="r:", errorlevel=2) as tar:
        for member in tar:
            parts = [p for p in member.name.split("/") if p not in {"", "."}]
            top = parts[0] if parts else "."
            if len(tops) < _SHOWN:
                tops.setdefault(top)
            if not below or top == below:
                _take(tar, member, tree, below)
            elif top == f"{_WHITEOUT}{below}":
                tree.write((_OPAQUE,), _Nothing())
    while data.read(_PIECE_BYTES):  # the checksum of the packed bytes stands at their very end
        pass
    return list(tops)


class _Nothing:
    """The content of a mark."""

    def read(self, size: int = -1, /) -> bytes:
        del size
        return b""


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, tree: Tree, below: str) -> None:
    parts = select_member_path(member.name)
    _require_marks(parts)
    member.name = "/".join(parts[1:] if below else parts)
    if member.islnk() and below:
        target = select_member_path(member.linkname)
        # A link to what lies outside of the folder leads, as any other such, to no file.
        member.linkname = "/".join(target[1:] if target[:1] == (below,) else ("..", *target))
    if member.name or not member.isdir():
        write_member(tar, member, tree)


def _require_marks(parts: tuple[str, ...]) -> None:
    """Raise StorageError for a mark that takes away no name in its folder, but `..` or the like."""
    for part in parts:
        if part.startswith(_WHITEOUT) and not is_file_name(part.removeprefix(_WHITEOUT)):
            raise StorageError(
                "ArchiveUnsafe",
                f'the archive\'s member "{"/".join(parts)}" takes away what no file can be called; '
                "build the image anew",
            )


def merge_layer(layer: Path, content: Path) -> None:
    """Lay an unpacked layer over a folder; files are shared, not copied."""
    entries = list(os.scandir(layer))
    names = {entry.name for entry in entries}
    if _OPAQUE in names:
        for old in content.iterdir():
            _remove(old)
    for name in names - {_OPAQUE}:
        if name.startswith(_WHITEOUT):
            _remove(content / name.removeprefix(_WHITEOUT))
    for entry in entries:
        target = content / entry.name
        if entry.name.startswith(_WHITEOUT):
            continue
        if entry.is_dir(follow_symlinks=False):
            if target.is_symlink() or not target.is_dir():
                _remove(target)
                target.mkdir(mode=0o700)
            merge_layer(Path(entry.path), target)
        else:
            _remove(target)
            share(Path(entry.path), target)


def make_room(content: Path, title: str) -> Path:
    """Return where a file of an artifact goes, with nothing there and no link above it."""
    *above, name = title.split("/")
    folder = content
    for part in above:
        folder = folder / part
        if folder.is_symlink() or not folder.is_dir():
            _remove(folder)
            folder.mkdir(mode=0o700)
    _remove(folder / name)
    return folder / name


def check_links(content: Path) -> None:
    """Raise StorageError for a link of the merged layers that leads out or nowhere."""
    for path in _links(content):
        validate_link(content, path.relative_to(content).parts, str(path.readlink()))


def _links(content: Path) -> Iterator[Path]:
    return (path for path in content.rglob("*") if path.is_symlink())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_empty_error(shown: str, tops: list[str]) -> StorageError:
    """Return the error for an image without a model, with KServe's words. Pure."""
    found = f" Found top-level entries: {', '.join(sorted(tops)[:_SHOWN])}" if tops else ""
    return StorageError(
        "ModelNotFound",
        f'"{shown}" has no /models/ directory with files in it.{found}; copy the model to '
        '"/models" when the image is built',
    )
