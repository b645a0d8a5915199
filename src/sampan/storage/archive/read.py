"""Reading a compressed file by what it is, and metering what comes out of it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from sampan.storage.archive.limits import Limits
from sampan.storage.base import StorageError
from sampan.storage.space import show_bytes

_RATIO_FLOOR_BYTES = 64 * 1024**2
"""Below this an archive may be as dense as it likes: sparse weights compress a thousandfold."""

_HEADER_BYTES = 16 * 1024**2
"""The most that is read at once: `tarfile` holds a whole extended header in memory."""


class Stopped(Exception):
    """The caller does not want the result any more."""


class Meter:
    """Counts the bytes that come out of an archive, and refuses more than the limits allow."""

    def __init__(
        self, packed: int, limits: Limits, stop: threading.Event, told: Callable[[int], None]
    ) -> None:
        self._packed = packed
        self._limits = limits
        self._stop = stop
        self._told = told
        self._bytes = 0

    def count(self, size: int) -> None:
        """Count bytes; raise StorageError at the limit, Stopped when it is over."""
        if self._stop.is_set():
            raise Stopped
        self._bytes += size
        self._told(self._bytes)
        if self._bytes > self._limits.max_bytes:
            raise self._too_large(f"more than {show_bytes(self._limits.max_bytes)}", "max_bytes")
        allowed = max(_RATIO_FLOOR_BYTES, int(self._packed * self._limits.max_ratio))
        if self._bytes > allowed:
            what = f"more than {self._limits.max_ratio:g} times its size"
            raise self._too_large(what, "max_ratio")

    def _too_large(self, what: str, option: str) -> StorageError:
        return StorageError(
            "ArchiveTooLarge",
            f"the archive of {show_bytes(self._packed)} unpacks to {what}; check that it is what "
            f"it should be, or raise the limit ({option})",
        )


class MeteredReader(io.RawIOBase):
    """A stream that is counted as it is read, and never read in pieces beyond memory."""

    def __init__(self, inner: BinaryIO, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes, as `tarfile` asks for it: forward is reading on."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; raise StorageError for a piece that no sound archive has."""
        if size < 0 or size > _HEADER_BYTES:
            raise StorageError(
                "ArchiveUnsafe",
                f"the archive has a header of {size} bytes, more than {_HEADER_BYTES}; "
                "make it anew",
            )
        data = self._inner.read(size)
        self._meter.count(len(data))
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go forward by reading, so that what is skipped is metered too.

        Going back would unpack anew from the start, again and again; a sound tar never asks for it,
        one with negative sizes would for ever (CVE-2025-8194).
        """
        if whence != io.SEEK_SET or offset < self._inner.tell():
            raise io.UnsupportedOperation("the archive leads backwards")
        while (missing := offset - self._inner.tell()) > 0 and self.read(min(missing, 1024**2)):
            pass
        return self._inner.tell()

    def tell(self) -> int:
        """Return the place in the unpacked bytes."""
        return self._inner.tell()

    def close(self) -> None:
        """Close the file under it."""
        self._inner.close()
        super().close()


_OPENERS: tuple[tuple[bytes, Callable[[Path], object]], ...] = (
    (b"\x1f\x8b", gzip.GzipFile),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
"""By the first bytes, not by the name: servers unpack, and people rename."""


def open_unpacked(path: Path, meter: Meter) -> MeteredReader:
    """Open a file through what it is compressed with, or plainly."""
    with path.open("rb") as file:
        start = file.read(8)
    opener = next((o for magic, o in _OPENERS if start.startswith(magic)), None)
    inner = opener(path) if opener else path.open("rb")
    return MeteredReader(cast("BinaryIO", inner), meter)
