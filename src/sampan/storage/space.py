"""Whether the disk has room, asked before and while writing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sampan.storage.base import StorageError


def require_space(
    folder: Path, needed: int, reserve: int, free_bytes: Callable[[Path], int]
) -> None:
    """Raise StorageError unless `needed` bytes fit and `reserve` bytes stay free."""
    free = free_bytes(folder)
    if free - needed < reserve:
        raise StorageError(
            "DiskFull",
            f'the model needs {show_bytes(needed)} more in "{folder}", where {show_bytes(free)} '
            f"are free and {show_bytes(reserve)} must stay free; free some disk space "
            "(with Sampan down, its cache may be removed: what is needed comes again)",
            retryable=True,
        )


def show_bytes(count: int) -> str:
    """Return a size for people: `17 B`, `1.5 GiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
