"""A store in one SQLite file: what it acknowledged survives `kill -9` and a power cut.

Write-ahead log with `synchronous=FULL`: a group of writes is one transaction and one fsync, done on
a thread of its own. The file is locked exclusively while open, so a second process is refused and
no shared-memory file is needed. Objects and the newest changes are read once, at opening; watches
therefore go on across a restart.

A damaged file of which every object can still be read is served read-only
(`sampan.machinery.store_salvage`); any other is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError
from sampan.machinery.history import Change
from sampan.machinery.registry import Registry
from sampan.machinery.store import EventType, Key, StoreLimits
from sampan.machinery.store_engine import FIRST_VERSION, Contents, StoreEngine
from sampan.machinery.store_memory import DEFAULT_LIMITS
from sampan.machinery.store_salvage import find_damage, is_whole, read_objects

Result = TypeVar("Result")

SCHEMA_VERSION = 1
"""Written as `user_version`. A file with a higher one is refused, never guessed at."""

APPLICATION_ID = 0x53414D50
"""`SAMP`: tells our files from other SQLite files (`PRAGMA application_id`)."""

_CLEARED_EACH = 64
"""Changes after which those that are no longer kept go: a statement less in most writes."""

SCHEMA = (
    """CREATE TABLE objects (
  resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (resource, namespace, name)
)""",
    """CREATE TABLE changes (
  version INTEGER PRIMARY KEY, type TEXT NOT NULL,
  resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  data BLOB NOT NULL, previous BLOB
)""",
)


class StoreFault(ApiError):
    """The file cannot be opened, read or written; the message says why and what to do."""

    code, reason = 500, "InternalError"


class SqliteStore(StoreEngine):
    """The `Store` contract in a file. Belongs to one event loop.

    Opening reads the file and blocks: do it at start-up. Raises StoreFault when another process
    holds the file, or it is damaged, of another program, or of a later version.

    `fault` says why nothing is written, of a damaged file that can be read; else it is empty.
    """

    def __init__(
        self,
        path: Path,
        registry: Registry,
        clock: Clock,
        limits: StoreLimits = DEFAULT_LIMITS,
    ) -> None:
        journal = SqliteJournal(path, limits.events)
        super().__init__(registry, clock, limits, journal, journal.contents())
        self.fault = journal.fault


class SqliteJournal:
    """The file: objects as they are, and the newest changes."""

    def __init__(self, path: Path, keep: int) -> None:
        self._path = path
        self._keep = max(keep, 1)
        self._cleared_at = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.fault = ""
        self._connection = self._guarded(lambda: _open(path))
        verdict = self._guarded(lambda: find_damage(self._connection))
        if verdict and not is_whole(self._connection):
            self._connection.close()
            raise StoreFault(_damaged(path, verdict))
        self.fault = _read_only(path, verdict) if verdict else ""

    def contents(self) -> Contents:
        """Read everything the file holds."""
        if self.fault:
            return self._guarded(lambda: read_objects(self._connection))
        return self._guarded(self._read)

    async def append(self, changes: list[Change]) -> None:
        """Write changes in one transaction; return when they are on disk."""
        if self.fault:
            raise StoreFault(self.fault)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._guarded, lambda: self._append(changes))

    async def close(self) -> None:
        """Fold the log into the file and release it."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def _read(self) -> Contents:
        objects = {
            Key(resource, namespace, name): data
            for resource, namespace, name, data in self._connection.execute(
                "SELECT resource, namespace, name, data FROM objects"
            )
        }
        rows = self._connection.execute("SELECT * FROM changes ORDER BY version")
        changes = tuple(_shared(rows, objects))
        return Contents(changes[-1].version if changes else FIRST_VERSION, objects, changes)

    def _append(self, changes: list[Change]) -> None:
        connection = self._connection
        with _transaction(connection):
            for change in changes:
                where = (change.key.resource, change.key.namespace, change.key.name)
                if change.current is None:
                    connection.execute(
                        "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
                        where,
                    )
                else:
                    connection.execute(
                        "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
                        (*where, change.current),
                    )
                connection.execute(
                    "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (change.version, change.type.value, *where, change.data, change.previous),
                )
            last = changes[-1].version
            if last >= self._cleared_at + _CLEARED_EACH:
                connection.execute("DELETE FROM changes WHERE version <= ?", (last - self._keep,))
                self._cleared_at = last

    def _guarded(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            raise StoreFault(_explained(self._path, error)) from error


def _shared(rows: Iterable[tuple[Any, ...]], objects: dict[Key, bytes]) -> Iterator[Change]:
    """Yield the changes of rows, with equal JSON held once, as while it was written.

    A change's `previous` is the `data` of the one before, and an object that of its newest change:
    read as they lie in the file they would take twice the memory.
    """
    last: dict[Key, bytes] = {}
    for version, kind, resource, namespace, name, data, previous in rows:
        key = Key(resource, namespace, name)
        before = last.get(key)
        last[key] = data
        if objects.get(key) == data:
            objects[key] = data
        yield Change(
            version, EventType(kind), key, data, before if before == previous else previous
        )


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled back already; a second ROLLBACK would hide the cause.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made before SQLite opens it: the log beside it inherits these permissions.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        # Exclusive before the log is first touched: then no shared-memory file is made at all.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # a Secret leaves nothing in free pages
        _check(connection, path)
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION_ID and (tables or version):
        raise StoreFault(f'"{path}" is the database of another program; choose another path')
    if version > SCHEMA_VERSION:
        raise StoreFault(
            f'"{path}" was written by a later Sampan (schema {version}, this one reads up to '
            f"{SCHEMA_VERSION}); install that version, or choose another state folder"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
        return
    with _transaction(connection):
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _read_only(path: Path, detail: object) -> str:
    return (
        f'"{path}" is damaged ({detail}): what it holds can be read and nothing is written; save '
        "it with kubectl get -o yaml, then put a backup in its place or move it away"
    )


def _damaged(path: Path, detail: object) -> str:
    return (
        f'"{path}" is damaged ({detail}); put a backup in its place, '
        "or move it away to start with an empty store"
    )


def _explained(path: Path, error: Exception) -> str:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f'"{path}" is open in another process; stop that one, or choose another state folder'
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _damaged(path, error)
    if code.startswith("SQLITE_FULL"):
        return f'no space is left for "{path}"; nothing was written: free some and try again'
    return f'"{path}" cannot be used ({error}); check its permissions and its disk'
