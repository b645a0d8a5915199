"""One holder at a time, across tasks and processes: a lock that the kernel releases at any end."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sampan.machinery.clock import Clock

_POLL_SECONDS = 0.1
"""flock cannot be awaited, and a thread that blocks in it could not be cancelled."""


def try_lock(path: Path) -> int:
    """Return the descriptor that holds the lock, or -1 when another one does.

    Closing it releases the lock. The file stays: removing it would let two hold "the same" lock.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return -1
    except OSError:
        os.close(handle)
        raise
    return handle


@asynccontextmanager
async def hold(path: Path, clock: Clock, waiting: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock of a path; `waiting` is called at each try that finds it taken."""
    while (handle := try_lock(path)) < 0:
        waiting()
        await clock.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(handle)
