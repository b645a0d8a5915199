"""Members of a tar, in the order in which they stand."""

from __future__ import annotations

import stat
import tarfile
from typing import BinaryIO, cast

from sampan.storage.archive.names import select_member_path
from sampan.storage.archive.read import MeteredReader
from sampan.storage.archive.tree import Tree
from sampan.storage.base import StorageError

_PIECE_BYTES = 1024**2


def unpack_tar(data: MeteredReader, tree: Tree) -> None:
    """Write every member of a tar into a tree; raise StorageError, `tarfile.TarError`."""
    with tarfile.open(fileobj=cast("BinaryIO", data), mode="r:", errorlevel=2) as tar:
        for member in tar:
            write_member(tar, member, tree)
    # The checksum of what it was compressed with stands at the very end, behind the last member.
    while data.read(_PIECE_BYTES):
        pass


def write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, tree: Tree) -> None:
    """Write one member at the path that it names; raise StorageError for what is no file."""
    parts = select_member_path(member.name)
    if member.isdir():
        tree.make_folder(parts)
    elif member.issym():
        tree.symlink(parts, member.linkname)
    elif member.islnk():
        tree.hard_link(parts, select_member_path(member.linkname))
    elif member.isreg():
        content = tar.extractfile(member)
        if content is None:
            raise tarfile.ReadError(f"{member.name!r} has no content")
        tree.write(parts, content, executable=bool(member.mode & stat.S_IXUSR))
    else:
        raise StorageError(
            "ArchiveUnsafe",
            f'the archive\'s member "{"/".join(parts)}" is a device, a pipe or of an unknown type '
            f"({member.type!r}); make the archive anew with plain files",
        )
