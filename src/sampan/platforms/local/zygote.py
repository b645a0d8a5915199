"""The daemon's side of zygotes: starting them, asking them to fork, hearing of ends.

Every replica is the child of a zygote, also one that is a plain command: then the zygote has
imported nothing. So exit codes are known even when the daemon was away, and the daemon, which has
threads and much memory, never forks.

A zygote is told apart by its interpreter, its imports and the environment it imports under
(`shared_env`). A daemon uses only zygotes that it has started itself: those found from an earlier
daemon may have older code in memory, so they only report the ends of their children and then go.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sampan.machinery.registry import JsonObject
from sampan.platforms.local import zygote_child
from sampan.platforms.local.expansion import PORT_PREFIX, expand_env
from sampan.platforms.local.process import Zygote

_OWN_TO_A_REPLICA = frozenset(
    ("HOSTNAME", "POD_NAME", "POD_IP", "POD_UID", "POD_NAMESPACE", "MODEL_NAME", "MODEL_DIR")
)
"""Variables that name the replica or its model: a server reads them when it runs, not when it is
imported. Any other variable may matter to an import, so only replicas for which it is equal share
a zygote.
"""

PLAIN = "plain"
"""The key of the zygote that has imported nothing and starts commands."""

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


def shared_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables under which a zygote for this replica imports. Pure."""
    expanded = expand_env(env, {})  # what refers to a port, however indirectly, still shows it
    return {
        name: value
        for name, value in sorted(expanded.items())
        if name not in _OWN_TO_A_REPLICA
        and not name.startswith("SAMPAN_")
        and f"$({PORT_PREFIX}" not in value
    }


def make_key(zygote: Zygote | None, env: Mapping[str, str]) -> str:
    """Return the name of the zygote for a replica with this `shared_env`. Pure."""
    if zygote is None:
        return PLAIN
    identity = json.dumps([zygote.python, zygote.preload, env])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


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
        number = max(self._asked, default=0) + 1
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
        _forget(self.path)
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


@dataclass(slots=True)
class ZygotePool:
    """The zygotes of this daemon, one a key, started when first needed.

    Beyond `most` the one used longest ago is retired: each may hold hundreds of megabytes.
    """

    folder: Path
    idle_seconds: float = 30.0
    most: int = 8
    _own: dict[str, asyncio.Task[Connection]] = field(default_factory=dict)
    _found: list[Connection] = field(default_factory=list)
    _processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def adopt(self) -> dict[str, Connection]:
        """Retire the zygotes of earlier daemons; return the connection of each living child's uid.

        When this returns, nothing more is started by them.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        owners: dict[str, Connection] = {}
        for path in sorted(self.folder.glob("*.sock")):
            try:
                connection = await asyncio.wait_for(self._connect(path), 10.0)
            except (OSError, ZygoteFailed, TimeoutError):
                _forget(path)
                continue
            connection.retire()
            self._found.append(connection)
            owners |= dict.fromkeys(connection.children, connection)
        return owners

    async def get(self, zygote: Zygote | None, replica_env: Mapping[str, str]) -> Connection:
        """Return a ready zygote for a replica with this environment; raise ZygoteFailed."""
        env = shared_env(replica_env) if zygote else {}
        key = make_key(zygote, env)
        task = self._own.get(key)
        if task is not None and task.done() and not _usable(task):
            task = None
        if task is None:
            self._make_room()
            task = asyncio.create_task(self._start(key, zygote, env))
        self._own.pop(key, None)
        self._own[key] = task  # the order of the table is the order of use
        return await asyncio.shield(task)

    def _make_room(self) -> None:
        ready = [k for k, task in self._own.items() if task.done() and k != PLAIN]
        for key in ready[: max(0, len(self._own) - self.most + 1)]:
            task = self._own.pop(key)
            if _usable(task):
                task.result().retire()
                self._found.append(task.result())

    def connections(self) -> tuple[Connection, ...]:
        """Return every connected zygote."""
        own = (t.result() for t in self._own.values() if t.done() and _usable(t))
        return (*own, *(c for c in self._found if c.alive))

    async def close(self, *, retire: bool) -> None:
        """Hang up on all; with `retire` they end once their children have."""
        for task in self._own.values():
            if not task.done():
                task.cancel()
        await asyncio.gather(*self._own.values(), return_exceptions=True)
        for connection in self.connections():
            if retire:
                connection.retire()
                await connection.writer.drain()
            await connection.close()
        if not retire:
            return
        for process in self._processes:
            await _ended_soon(process)
        for path in self.folder.glob("*.sock"):
            _forget(path)

    async def _start(self, key: str, zygote: Zygote | None, env: Mapping[str, str]) -> Connection:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{key}-{secrets.token_hex(4)}.sock"
        listener = _listen(path)
        log = path.with_suffix(".log")
        try:
            process = await self._spawn(zygote, env, listener, log)
        except OSError as error:
            _forget(path)
            python = zygote.python if zygote else sys.executable
            raise ZygoteFailed(
                "StartError",
                f'the interpreter "{python}" cannot be run: {error.strerror}; build it anew',
            ) from error
        finally:
            listener.close()
        self._processes = [p for p in self._processes if p.returncode is None] + [process]
        try:
            connection = await self._connect(path)
        except asyncio.CancelledError:  # nobody waits for it any more
            process.kill()
            _forget(path)
            raise
        except (ZygoteFailed, OSError) as error:
            await _ended_soon(process)
            failure = _with_output(error, log)
            _forget(path)
            raise failure from error
        return connection

    async def _spawn(
        self, zygote: Zygote | None, env: Mapping[str, str], listener: socket.socket, log: Path
    ) -> asyncio.subprocess.Process:
        python = (zygote.python, "-P") if zygote else (sys.executable, "-I", "-S")
        descriptor = str(listener.fileno())
        private = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        with os.fdopen(os.open(log, private, 0o600), "wb") as output:
            return await asyncio.create_subprocess_exec(
                *(*python, zygote_child.__file__, "serve", descriptor, str(self.idle_seconds)),
                *(zygote.preload if zygote else ()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            )

    async def _connect(self, path: Path) -> Connection:
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


def _usable(task: asyncio.Task[Connection]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result().alive


def _listen(path: Path) -> socket.socket:
    address, folder = socket_address(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address)
        listener.listen(8)
    finally:
        if folder >= 0:
            os.close(folder)
    return listener


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".log").unlink(missing_ok=True)


def _with_output(error: ZygoteFailed | OSError, log: Path) -> ZygoteFailed:
    """Add what the zygote printed, unless it said more itself."""
    if isinstance(error, ZygoteFailed) and error.lines:
        return error
    lines = tuple(log.read_text("utf-8", "replace").splitlines()[-20:])
    if isinstance(error, ZygoteFailed):
        return ZygoteFailed(error.reason, error.message, lines)
    return ZygoteFailed("ZygoteDied", f"the interpreter ended at its start: {error}", lines)


async def _ended_soon(process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(process.wait(), 5.0)
    except TimeoutError:
        process.kill()
        await process.wait()
