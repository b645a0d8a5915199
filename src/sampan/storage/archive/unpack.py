"""Archives unpacked into an empty folder, whatever is in them: nothing is written outside of it.

Members are written one by one, as new plain files below real folders. Links are made last, when
nothing is written any more, and only where they stay inside. Devices and pipes are refused.
"""

from __future__ import annotations

import errno
import lzma
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sampan.storage.archive.limits import Limits
from sampan.storage.archive.names import ArchiveKind
from sampan.storage.archive.read import Meter, open_unpacked
from sampan.storage.archive.tar import unpack_tar
from sampan.storage.archive.tree import Tree
from sampan.storage.archive.zip import unpack_zip
from sampan.storage.base import StorageError

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    LookupError,
    NotImplementedError,
    ValueError,
    RuntimeError,
    OverflowError,
)
"""What the standard library raises at broken, encrypted or unknown archives. `gzip.BadGzipFile` is
an OSError without an errno, as are the errors of `bz2`."""

_BROKEN_ERRNOS = frozenset(
    {
        None,
        errno.EINVAL,  # a place before the file's start
        errno.EILSEQ,  # a name that this file system cannot hold
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EMLINK,
    }
)
"""Errors of the system that a sound archive never meets; all others are the disk's."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A file to unpack: where it lies, what it is called, and what that name says it is."""

    path: Path
    name: str
    kind: ArchiveKind


def unpack(
    packed: Packed,
    folder: Path,
    limits: Limits,
    stop: threading.Event,
    told: Callable[[int], None] = lambda _: None,
) -> None:
    """Unpack an archive into an empty folder; raise StorageError, OSError of the disk.

    `told` hears of the bytes written so far. `stop` ends the work between two pieces.
    """
    meter = Meter(packed.path.stat().st_size, limits, stop, told)
    tree = Tree(folder, limits)
    with guarded(packed):
        _unpack(packed, tree, meter)
        tree.finish()


@contextmanager
def guarded(packed: Packed) -> Iterator[None]:
    """Turn what broken archives make the standard library raise into StorageError."""
    try:
        yield
    except _BROKEN as error:
        raise _invalid(packed, str(error)) from error
    except OSError as error:
        if error.errno in _BROKEN_ERRNOS:
            raise _invalid(packed, str(error)) from error
        raise


def _unpack(packed: Packed, tree: Tree, meter: Meter) -> None:
    if packed.kind is ArchiveKind.ZIP:
        unpack_zip(packed.path, tree, meter)
        return
    with open_unpacked(packed.path, meter) as data:
        if packed.kind is ArchiveKind.TAR:
            unpack_tar(data, tree)
        else:
            tree.write((packed.name.removesuffix(".gz"),), data)


def _invalid(packed: Packed, why: str) -> StorageError:
    return StorageError(
        "ArchiveInvalid",
        f'the archive "{packed.name}" cannot be unpacked, its format is not valid for a '
        f"{packed.kind} file ({why}); make the archive anew, or name it after what it is",
    )
