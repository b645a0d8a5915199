"""What tells that the files of a folder have changed, for servers that look now and then."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

Sign: TypeAlias = frozenset[tuple[str, int, int]]
"""Path, size and time of each file and folder."""


def gather_sign(path: Path) -> Sign:
    """Return the sign of a file or a folder; of what vanishes meanwhile, what was seen."""
    made = set()
    for one in (path, *path.rglob("*")):
        with suppress(OSError):
            seen = one.stat()
            made.add((str(one), seen.st_size, seen.st_mtime_ns))
    return frozenset(made)
