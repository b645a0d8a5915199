"""Logs of replicas: files that the replicas write themselves, kept small, read as one stream.

A replica appends to `{namespace}/{service}/{replica}.log` without anybody between, so nothing is
lost while no daemon runs. When the file grows past its cap its head moves to `.log.1` (older ones
to `.log.2`...), by copying it and then cutting it off (`rotation`). Read in order, the parts are
the stream, byte for byte; a line may continue from one part into the next.

At a restart of the replica the whole set becomes `{replica}.previous.log...`, as
`kubectl logs --previous` expects; there is one previous log.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from sampan.plan.types import ServiceKey
from sampan.platforms.local import rotation

_POLL_SECONDS = 0.1  # how soon a follower sees a line
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class LogLimits:
    """The kubelet's containerLogMaxSize and containerLogMaxFiles: bytes a file, and files."""

    max_bytes: int = 10 << 20
    max_files: int = 5


@dataclass(slots=True)
class LogStore:
    """The logs under one folder."""

    folder: Path
    limits: LogLimits = LogLimits()
    _cut: dict[int, int] = field(default_factory=dict)
    """Bytes cut off the head of a file (by inode) since this process started, for followers."""
    _turn: threading.Lock = field(default_factory=threading.Lock)
    """Held while a head is cut off and while a follower reads: positions move in between."""

    def path(self, service: ServiceKey, replica: str, *, previous: bool = False) -> Path:
        """Return the file that the replica appends to, its folder made."""
        folder = self.folder / service.namespace / service.name
        if not folder.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f'the log folder "{folder}" would lie outside "{self.folder}"')
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # guards all below it
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{replica}.log"
        return previous_path(path) if previous else path

    def begin(self, service: ServiceKey, replica: str) -> Path:
        """Make the present log the previous one; return the path of the new one."""
        current = self.path(service, replica)
        previous = self.path(service, replica, previous=True)
        with self._turn:
            if current.exists():
                _remove(previous)
                self._cut.pop(current.stat().st_ino, None)
            for part in rotation.parts(current):
                part.replace(previous.with_name(part.name.replace(current.name, previous.name, 1)))
        os.close(os.open(current, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        return current

    def remove(self, service: ServiceKey, replica: str) -> None:
        """Delete every log of the replica."""
        with self._turn:
            _remove(self.path(service, replica))
            _remove(self.path(service, replica, previous=True))

    def exceeds(self, service: ServiceKey, replica: str) -> bool:
        """Return whether the present log may be past its cap. Cheap."""
        try:
            return self.path(service, replica).stat().st_size > self.limits.max_bytes
        except FileNotFoundError:
            return False

    def rotate(self, service: ServiceKey, replica: str) -> None:
        """Move what exceeds the cap into parts, and drop parts beyond the number kept. Blocks."""
        path = self.path(service, replica)
        while head := rotation.copy_head(path, self.limits.max_bytes):
            inode = os.fstat(head.descriptor).st_ino
            with self._turn:
                cut = rotation.cut_head(path, head, self.limits.max_files)
                if cut is None:
                    return
                self._cut[inode] = self._cut.get(inode, 0) + cut

    def last_lines(self, service: ServiceKey, replica: str, count: int) -> tuple[str, ...]:
        """Return the newest lines of the present log."""
        data = _read_tail(self.path(service, replica), count)
        return tuple(_text(line) for line in _newest(_split(data), count))

    async def tail(
        self,
        service: ServiceKey,
        replica: str,
        *,
        lines: int | None = None,
        follow: bool = False,
        previous: bool = False,
    ) -> AsyncIterator[str]:
        """Yield the newest `lines` (None: all) without their ends, and with `follow` the next ones.

        Following goes on over restarts of the replica and ends when its log is removed. A last
        line without an end is yielded when nothing more can come.
        """
        path = self.path(service, replica, previous=previous)
        follower = _Follower(path, self._cut, self._turn)
        try:
            first = await asyncio.to_thread(follower.start, lines)
            for line in first:
                yield line
            while follow and not previous:
                batch = follower.more()
                for line in batch or ():
                    yield line
                if batch is None:
                    break
                if not batch:
                    await asyncio.sleep(_POLL_SECONDS)
            if follower.rest:
                yield _text(follower.rest)
        finally:
            follower.close()


class _Follower:
    """Reads a log from a position on, while parts are cut off its head.

    What is cut off before it was read is read from the parts, as far as they are kept.
    """

    def __init__(self, path: Path, cut: dict[int, int], turn: threading.Lock) -> None:
        self._path = path
        self._cut = cut
        self._turn = turn
        self._file = -1
        self._inode = 0
        self._read = 0  # position in the file as if nothing had been cut since `_base`
        self._base = 0
        self.rest = b""

    def start(self, count: int | None) -> list[str]:
        """Return the newest lines so far, and remember where they end. Blocks."""
        with self._turn:
            self._open()
            data = self._drain() if self._file >= 0 else b""
            older = [part.open("rb") for part in rotation.parts(self._path)[1:]]
        for part in older:
            with part:
                if count is None or data.count(b"\n") < count:
                    data = part.read() + data
        *complete, self.rest = data.split(b"\n")
        return [_text(line) for line in _newest(complete, count)]

    def more(self) -> list[str] | None:
        """Return the lines since; None when the log is gone for good."""
        if self._file < 0:
            self._open()
            if self._file < 0:
                return None
        with self._turn:
            data = self._drain()
        *complete, self.rest = (self.rest + data).split(b"\n")
        if not complete and self._replaced():
            complete, self.rest = ([self.rest] if self.rest else []), b""
            self.close()
            self._open()
            if self._file < 0 and not complete:
                return None
        return [_text(line) for line in complete]

    def close(self) -> None:
        """Release the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self._inode = os.fstat(self._file).st_ino
        self._base = self._cut.get(self._inode, 0)
        self._read = rotation.data_start(self._file)

    def _drain(self) -> bytes:
        moved = self._cut.get(self._inode, 0) - self._base
        offset, start = self._read - moved, rotation.data_start(self._file)
        chunks = [self._missed(start - offset)] if offset < start else []
        offset = max(offset, start)
        while chunk := os.pread(self._file, _CHUNK, offset):
            offset += len(chunk)
            chunks.append(chunk)
        self._read = offset + moved
        return b"".join(chunks)

    def _missed(self, count: int) -> bytes:
        """Return the newest bytes of the parts; the log may have become the previous one."""
        paths = (self._path, previous_path(self._path))
        path = next((p for p in paths if p.exists() and p.stat().st_ino == self._inode), None)
        data = b""
        for part in rotation.parts(path)[1:] if path else ():
            data = part.read_bytes() + data
            if len(data) >= count:
                break
        return data[-count:]

    def _replaced(self) -> bool:
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True


def _remove(path: Path) -> None:
    for part in (*rotation.parts(path), rotation.partial_path(path)):
        part.unlink(missing_ok=True)


def previous_path(path: Path) -> Path:
    """Return where the log goes at the replica's restart."""
    return path.with_name(f"{path.stem}.previous.log")


def _read_tail(path: Path, count: int) -> bytes:
    """Return the end of the stream: at least `count` lines where there are so many."""
    data = b""
    for part in rotation.parts(path):
        with part.open("rb") as file:
            file.seek(rotation.data_start(file.fileno()))
            data = file.read() + data
        if data.count(b"\n") > count:
            break
    return data


def _newest(lines: list[bytes], count: int | None) -> list[bytes]:
    return lines if count is None else lines[max(0, len(lines) - count) :]


def _split(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
