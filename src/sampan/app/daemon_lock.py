"""One daemon a state folder: a lock that the kernel releases however the daemon ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

PATIENCE_SECONDS = 1.0
"""A command that asks whether a daemon lives holds the lock for an instant: not a daemon."""


class AlreadyRunning(Exception):
    """Another daemon uses this state folder; the text says which."""


class DaemonLock:
    """Holds `daemon.lock` until `release`, or until the process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def acquire(self) -> None:
        """Take the lock; raise AlreadyRunning naming the other daemon's pid."""
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._refuse()
            time.sleep(0.02)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another daemon take the folder."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _refuse(self) -> None:
        pid = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(self._file)
        raise AlreadyRunning(
            f'another daemon (pid {pid}) uses the state folder "{self._path.parent}"; '
            "stop it with `sampan down`, or choose another folder with SAMPAN_HOME"
        )
