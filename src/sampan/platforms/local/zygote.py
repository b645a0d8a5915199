"""The zygotes of a daemon: which replica may be forked from which, started when first needed.

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sampan.platforms.local import zygote_child
from sampan.platforms.local.expansion import PORT_PREFIX, expand_env
from sampan.platforms.local.forecast import Forecast
from sampan.platforms.local.process import Zygote
from sampan.platforms.local.zygote_connection import (
    Connection,
    ZygoteFailed,
    connect,
    forget,
    listen,
)

_OWN_TO_A_REPLICA = frozenset(
    (
        "HOSTNAME", "INFERENCE_SERVICE_NAME", "POD_NAME", "POD_IP", "POD_UID", "POD_NAMESPACE",
        "MODEL_NAME", "MODEL_DIR", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
    )
)  # fmt: skip
"""Variables that name the replica or its model: a server reads them when it runs, not when it is
imported. Any other variable may matter to an import, so only replicas for which it is equal share
a zygote.
"""

PLAIN = "plain"
"""The key of the zygote that has imported nothing and starts commands."""


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


@dataclass(slots=True)
class ZygotePool:
    """The zygotes of this daemon, one a key, started when first needed.

    Beyond `most` the one used longest ago is retired: each may hold hundreds of megabytes.
    `forecast` remembers the one that was needed last (`warm_up`).
    """

    folder: Path
    idle_seconds: float = 30.0
    most: int = 8
    forecast: Forecast | None = None
    _own_paths: set[Path] = field(default_factory=set)
    _own: dict[str, asyncio.Task[Connection]] = field(default_factory=dict)
    _found: list[Connection] = field(default_factory=list)
    _processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def adopt(self) -> dict[str, Connection]:
        """Retire the zygotes of earlier daemons; return the connection of each living child's uid.

        When this returns, nothing more is started by them.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        owners: dict[str, Connection] = {}
        for path in sorted(set(self.folder.glob("*.sock")) - self._own_paths):
            try:
                connection = await asyncio.wait_for(connect(path), 10.0)
            except (OSError, ZygoteFailed, TimeoutError):
                forget(path)
                continue
            connection.retire()
            self._found.append(connection)
            owners |= dict.fromkeys(connection.children, connection)
        return owners

    async def warm_up(self) -> None:
        """Begin to import what was needed last; returns once that process runs, or cannot."""
        expected = self.forecast.read() if self.forecast else None
        if expected is not None:
            zygote, env = expected
            key = make_key(zygote, dict(sorted(env.items())))
            spawned = asyncio.Event()
            task = asyncio.create_task(self._start(key, zygote, env, spawned.set))
            task.add_done_callback(lambda _: spawned.set())
            self._own[key] = task
            await spawned.wait()

    async def get(self, zygote: Zygote | None, replica_env: Mapping[str, str]) -> Connection:
        """Return a ready zygote for a replica with this environment; raise ZygoteFailed."""
        env = shared_env(replica_env) if zygote else {}
        key = make_key(zygote, env)
        task = self._own.get(key)
        if task is not None and task.done() and not (_usable(task) or _cannot_fork(task)):
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
            forget(path)

    async def _start(
        self,
        key: str,
        zygote: Zygote | None,
        env: Mapping[str, str],
        on_spawn: Callable[[], None] = lambda: None,
    ) -> Connection:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{key}-{secrets.token_hex(4)}.sock"
        self._own_paths.add(path)
        listener = listen(path)
        log = path.with_suffix(".log")
        try:
            process = await self._spawn(zygote, env, listener, log)
        except OSError as error:
            forget(path)
            python = zygote.python if zygote else sys.executable
            raise ZygoteFailed(
                "StartError",
                f'the interpreter "{python}" cannot be run: {error.strerror}; build it anew',
            ) from error
        finally:
            listener.close()
        self._processes = [p for p in self._processes if p.returncode is None] + [process]
        on_spawn()
        try:
            connection = await connect(path)
        except asyncio.CancelledError:  # nobody waits for it any more
            process.kill()
            forget(path)
            raise
        except (ZygoteFailed, OSError) as error:
            await _ended_soon(process)
            failure = _with_output(error, log)
            forget(path)
            raise failure from error
        if zygote and self.forecast:
            self.forecast.note(zygote, env)
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


def _usable(task: asyncio.Task[Connection]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result().alive


def _cannot_fork(task: asyncio.Task[Connection]) -> bool:
    """Return whether trying again would only import for nothing again."""
    error = None if task.cancelled() else task.exception()
    return isinstance(error, ZygoteFailed) and error.reason == "ThreadsStarted"


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
