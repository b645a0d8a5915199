"""Members of a zip, as its directory lists them."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

from sampan.storage.archive.names import select_member_path
from sampan.storage.archive.read import Meter
from sampan.storage.archive.tree import Readable, Tree

_LINK_BYTES = 4096
"""The longest target a link can have (PATH_MAX)."""


class _Metered:
    """A member that is counted as it is read."""

    def __init__(self, inner: Readable, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def read(self, size: int = -1, /) -> bytes:
        data = self._inner.read(size)
        self._meter.count(len(data))
        return data


def unpack_zip(archive: Path, tree: Tree, meter: Meter) -> None:
    """Write every member of a zip into a tree; raise StorageError, `zipfile.BadZipFile`."""
    with zipfile.ZipFile(archive) as source:
        for member in source.infolist():
            _write(source, member, tree, meter)


def _write(source: zipfile.ZipFile, member: zipfile.ZipInfo, tree: Tree, meter: Meter) -> None:
    parts = select_member_path(member.filename)
    if member.is_dir():
        tree.make_folder(parts)
        return
    mode = member.external_attr >> 16  # Unix's, where the archive was made on one; else 0
    with source.open(member) as inner:
        content = _Metered(inner, meter)
        if stat.S_ISLNK(mode):
            tree.symlink(parts, content.read(_LINK_BYTES).decode("utf-8", "surrogateescape"))
        else:
            tree.write(parts, content, executable=bool(mode & stat.S_IXUSR))
