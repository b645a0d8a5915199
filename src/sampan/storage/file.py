"""`file://` and bare paths: models that are on this machine already, served where they are.

Nothing is copied: a folder is its own result, a single file gets a folder in the cache that holds
a link to it (as KServe's storage initializer links local files into `/mnt/models`). A change of the
files therefore shows at the next load of a replica. An archive is unpacked into the cache, anew
when its size, time or inode changed.
"""

from __future__ import annotations

import asyncio
import os
import threading
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from sampan.storage.archive.names import ArchiveKind, select_kind
from sampan.storage.archive.unpack import Packed
from sampan.storage.base import Fetched, StorageError
from sampan.storage.cache import Entry, make_key, open_cache
from sampan.storage.filling import fill, make_facts
from sampan.storage.job import Job
from sampan.storage.lock import hold
from sampan.storage.reporter import Reporter
from sampan.storage.threads import run_blocking


async def fetch(uri: str, job: Job) -> Fetched:
    """Return the folder that a local path stands for; raise StorageError, OSError."""
    path = select_path(uri)
    return await serve_path(uri, path, job)


def select_path(uri: str) -> Path:
    """Return the path that a `file` URI or a bare path names. The literal spelling goes first."""
    text = uri if uri.startswith("/") else uri.partition("://")[2]
    host, slash, rest = text.partition("/")
    if host not in {"", "localhost"} or not slash:
        raise StorageError(
            "InvalidURI",
            f'the storage URI "{uri}" names a host "{host}", and files are read from this machine '
            f'only; write "file:///{text}" for an absolute path',
        )
    literal = Path(f"/{rest}")
    decoded = Path(f"/{unquote(rest)}")
    return decoded if decoded != literal and not literal.exists() else literal


async def serve_path(uri: str, path: Path, job: Job) -> Fetched:
    """Return the folder to serve for an existing file or folder."""
    archive = await asyncio.to_thread(select_archive, path)
    if archive is not None:
        return await _unpack(archive, job)
    return await asyncio.to_thread(_serve, uri, path, job.options.cache)


def select_archive(path: Path) -> Path | None:
    """Return the archive that a path stands for: itself, or the only file of a folder."""
    if path.is_dir():
        entries = list(islice(path.iterdir(), 2))
        path = entries[0] if len(entries) == 1 else path
    kind = select_kind(path.name)
    return path if kind in {ArchiveKind.TAR, ArchiveKind.ZIP} and path.is_file() else None


async def _unpack(archive: Path, job: Job) -> Fetched:
    """Return the unpacked content of a local archive, from the cache when it did not change."""
    cache = await asyncio.to_thread(open_cache, job.options.cache)
    slot = await asyncio.to_thread(cache.slot, f"file://{archive}")
    reporter = Reporter(job.report)
    loop = asyncio.get_running_loop()

    def told(done: int) -> None:
        loop.call_soon_threadsafe(reporter.tell, "Unpacking", done)

    def work(stop: threading.Event) -> tuple[Entry, bool]:
        version = _version(archive)
        entry = cache.use(make_key(slot.identity, version))
        if entry is not None:
            return entry, True
        packed = Packed(archive, archive.name, select_kind(archive.name))
        fill(cache, slot, packed, job, stop, told)
        facts = make_facts(slot, f"file://{archive}", job.world.clock.now())
        return cache.publish(slot, version, facts), False

    async with hold(slot.lock, job.world.clock, lambda: reporter.tell("Waiting for another fetch")):
        entry, cached = await run_blocking(work)
    return Fetched(entry.path, entry.facts.size, 0.0, cached=cached)


def _version(archive: Path) -> str:
    found = archive.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _serve(uri: str, path: Path, cache: Path) -> Fetched:
    size, files = _measure(uri, path)
    if not files:
        raise StorageError(
            "ModelNotFound",
            f'the folder "{path}" of the storage URI "{uri}" is empty; put the model there',
        )
    folder = path if path.is_dir() else _link(path, cache)
    return Fetched(folder, size, 0.0, cached=True)


def _measure(uri: str, path: Path) -> tuple[int, int]:
    """Return bytes and files at a path; raise StorageError when there is nothing."""
    if not path.exists():
        raise StorageError(
            "ModelNotFound",
            f'the path "{path}" of the storage URI "{uri}" does not exist on this machine; '
            f"{_nearest(path)}",
        )
    if path.is_file():
        return path.stat().st_size, 1
    os.scandir(path).close()  # without the right to read it, a folder would only look empty
    files = [p for p in path.rglob("*") if p.is_file() or p.is_symlink()]
    return sum(p.stat().st_size for p in files if p.exists()), len(files)


def _nearest(path: Path) -> str:
    """Return the mend for a missing path: the deepest folder of it that is there."""
    there = next(parent for parent in path.parents if parent.exists())
    return f'"{there}" exists, "{path.relative_to(there).parts[0]}" in it does not'


def _link(path: Path, cache: Path) -> Path:
    """Return the cache's folder that holds nothing but a link to a file."""
    name = make_key(f"file://{path}")
    folder = open_cache(cache).root / "links" / name
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / path.name
    if not (link.is_symlink() and link.readlink() == path):
        temporary = folder.with_name(f"{name}.{os.getpid()}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(path)
        temporary.replace(link)
    return folder
