"""Following the register in a folder, and leaving a report there. Thin."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path

from sampan.mesh.documents import (
    REGISTER_FILE,
    REPORTS_FOLDER,
    Register,
    Report,
    decode_register,
    encode_report,
)
from sampan.server.mesh_repository import MeshRepository
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.runtimes.modelmesh")

LOOK_SECONDS = 0.1
"""How often the register is looked at: one `stat` of a file."""


class Follower:
    """Keeps a repository true to the register of a folder, and the report true to both."""

    def __init__(self, folder: Path, repository: MeshRepository) -> None:
        self._folder = folder
        self._repository = repository
        self._stamp: tuple[int, int] = (0, 0)
        self._changed = asyncio.Event()
        self._told = ""
        self._report = folder / REPORTS_FOLDER / f"{os.getpid()}.json"
        repository.on_change = self._changed.set

    def read(self) -> None:
        """Take the register where it has changed; a broken one leaves what there is."""
        path = self._folder / REGISTER_FILE
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp == self._stamp:
                return
            text = path.read_bytes()
        except FileNotFoundError:
            text, stamp = b"", (0, 0)
            if self._stamp == stamp:
                return
        except OSError as error:
            self._tell(f"{error}; what is loaded stays")
            return
        self._stamp = stamp
        try:
            register = decode_register(text) if text else Register()
        except ValueError as error:
            self._tell(f'"{path}": {error}; what is loaded stays')
        else:
            self._repository.follow(register)

    async def run(self, workers: Workers) -> None:
        """Load, follow and report until cancelled; the report goes with the process."""
        self._repository.start(workers)
        try:
            while True:
                self.read()
                if not self._write():
                    await asyncio.sleep(LOOK_SECONDS)
                    continue
                # No `wait_for`: of Python 3.11, it loses a cancellation that comes with a change.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._changed.wait()
        finally:
            with contextlib.suppress(OSError):
                self._report.unlink()

    def _write(self) -> bool:
        """Leave a report where something has changed; False where the disk does not take it."""
        if not self._changed.is_set():
            return True
        repository = self._repository
        report = Report(
            pid=os.getpid(),
            models=repository.reports(),
            capacity=repository.cache.capacity,
            used=repository.cache.used,
            loads=repository.metrics.loads,
            evictions=repository.metrics.evictions,
        )
        try:
            self._report.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self._report.with_suffix(".new")
            fresh.write_bytes(encode_report(report))
            fresh.replace(self._report)
        except OSError as error:
            self._tell(f"the report of models cannot be written: {error}; see to the disk")
            return False
        self._changed.clear()
        self._told = ""
        return True

    def _tell(self, message: str) -> None:
        """Say what a look met; once, however often it meets it."""
        if message != self._told:
            logger.warning("%s", message)
        self._told = message
