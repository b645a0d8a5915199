"""Speaking with one zygote over its Unix socket; the messages are described in `zygote_child`."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sampan.machinery.registry import JsonObject

_LINE_LIMIT = 16 << 20


class ZygoteFailed(Exception):
    """A zygote could not be made or is gone; `reason` is CamelCase, `lines` what it printed."""

    def __init__(self, reason: str, message: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.lines = lines


def _died() -> ZygoteFailed:
    return ZygoteFailed("ZygoteDied", "the process to fork from has ended; another is started")


class Refused(Exception):
    """The zygote would not fork: the replica already runs, or the zygote is retired."""


@dataclass(frozen=True, slots=True)
class Fork:
    """What to start: the expanded command and the files of the replica."""

    uid: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    log: Path
    folder: Path
    entry: str = ""


def socket_address(path: Path) -> tuple[str, int]:
    """Return an address for a Unix socket path of any length, and a descriptor to close after use.

    The kernel's limit is 107 bytes; a longer one is reached through its folder's descriptor.
    """
    if len(os.fsencode(path)) < 104:  # macOS's limit, the smaller one
        return str(path), -1
    if not Path("/proc/self/fd").is_dir():
        raise ZygoteFailed(
            "PathTooLong",
            f'the path "{path}" is too long for a socket; choose a shorter state folder',
        )
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{folder}/{path.name}", folder


@dataclass(slots=True)
class Connection:
    """A zygote that answers. `children` are the pids of its children, by uid, when it was found."""

    path: Path
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    pid: int = 0
    children: dict[str, int] = field(default_factory=dict)
    alive: bool = True
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _asked: dict[int, asyncio.Future[JsonObject]] = field(default_factory=dict)
    _listening: asyncio.Task[None] | None = None

    async def greet(self) -> None:
        """Wait until the zygote is ready; raise ZygoteFailed."""
        line = await self.reader.readline()
        if not line:
            raise ZygoteFailed("ZygoteDied", "the interpreter ended while it was importing")
        message = json.loads(line)
        if message["event"] == "failed":
            lines = tuple(message["lines"])
            raise ZygoteFailed(message["reason"], message["message"], lines)
        self.pid, self.children = message["pid"], message["children"]
        self._listening = asyncio.create_task(self._listen())

    async def fork(self, fork: Fork) -> tuple[int, int]:
        """Start a replica; return its pid and start ticks. Raises Refused or ZygoteFailed."""
        number = next(self._numbers)
        answer: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._tell(_fork_message(number, fork))
            message = await answer
        finally:
            del self._asked[number]
        if message["event"] == "refused":
            raise Refused(message["message"])
        return message["pid"], message["ticks"]

    def retire(self) -> None:
        """Have it fork no more and end after its last child."""
        self._tell({"op": "hello", "retire": True})

    async def close(self) -> None:
        """Hang up. The zygote lives on while it has children."""
        self.alive = False
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self.writer.transport.abort()

    def _tell(self, message: JsonObject) -> None:
        if not self.alive:
            raise _died()
        self.writer.write(json.dumps(message).encode() + b"\n")

    async def _listen(self) -> None:
        try:
            while line := await self.reader.readline():
                message = json.loads(line)
                answer = self._asked.get(message["id"])
                if answer is not None and not answer.done():
                    answer.set_result(message)
        except OSError:
            pass  # the zygote was killed: as if it had hung up
        self.alive = False
        self.writer.transport.abort()
        forget(self.path)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(_died())


def _fork_message(number: int, fork: Fork) -> JsonObject:
    return {
        "op": "fork",
        "id": number,
        "uid": fork.uid,
        "argv": fork.argv,
        "env": dict(fork.env),
        "cwd": fork.cwd,
        "log": str(fork.log),
        "folder": str(fork.folder),
        "entry": fork.entry,
    }


async def connect(path: Path) -> Connection:
    """Return a zygote that is ready; raise ZygoteFailed or OSError."""
    address, folder = socket_address(path)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    finally:
        if folder >= 0:
            os.close(folder)
    reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_LINE_LIMIT)
    answering = Connection(path, reader, writer)
    try:
        await answering.greet()
    except BaseException:
        await answering.close()
        raise
    return answering


def listen(path: Path) -> socket.socket:
    """Return a socket that listens there; the zygote inherits it."""
    address, folder = socket_address(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address)
        listener.listen(8)
    finally:
        if folder >= 0:
            os.close(folder)
    return listener


def forget(path: Path) -> None:
    """Remove a zygote's socket and output."""
    path.unlink(missing_ok=True)
    path.with_suffix(".log").unlink(missing_ok=True)
