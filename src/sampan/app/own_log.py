"""The daemon's own log, kept small: it is appended to for as long as a daemon lives, and the next.

The file is cut where it stands, because the daemon and whoever started it hold it open.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from sampan.machinery.clock import Clock

log = logging.getLogger(__name__)

MOST_BYTES = 10 << 20
"""Above this the log becomes `daemon.log.1`. As much as one part of a replica's log."""
_KEPT = 4
"""Times as much is moved at most, the end of it: a log from before logs were cut may be gigabytes,
for whose copy a daemon would stand still and a disk may have no room.
"""
LOOK_SECONDS = 60.0


async def keep_small(path: Path, clock: Clock, most: int = MOST_BYTES) -> None:
    """Cut the log whenever it has grown too large, until cancelled; not where it is not ours."""
    while is_written(path):
        try:
            apply_cut(path, most)
        except OSError as error:
            log.warning('"%s" is not cut: %s; see to the disk', path, error)
        await clock.sleep(LOOK_SECONDS)


def is_written(path: Path) -> bool:
    """Tell whether this process's errors go to a file: a daemon in the foreground has none."""
    try:
        return os.path.samestat(os.fstat(2), path.stat())
    except OSError:
        return False


def apply_cut(path: Path, most: int) -> None:
    """Move what a log holds beside it, where that is too much; raise OSError.

    On the loop's thread: a copy of ten megabytes takes a few milliseconds, and no line is lost to a
    thread that writes meanwhile but in the moment between copy and cut.
    """
    size = path.stat().st_size
    if size <= most:
        return
    before = path.with_name(f"{path.name}.1")
    before.unlink(missing_ok=True)
    before.touch(mode=0o600)
    with path.open("rb") as file, before.open("wb") as kept:
        file.seek(max(0, size - _KEPT * most))
        shutil.copyfileobj(file, kept)
    os.truncate(path, 0)
