"""`file://` and bare paths: models that are on this machine already, served where they are.

Nothing is copied: a folder is its own result, a single file gets a folder in the cache that holds
a link to it (as KServe's storage initializer links local files into `/mnt/models`). A change of the
files therefore shows at the next load of a replica. An archive is unpacked into the cache, anew
when its size, time or inode changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from urllib.parse import unquote

from sampan.storage.base import Fetched, StorageError
from sampan.storage.job import Job


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
    return await asyncio.to_thread(_serve, uri, path, job.options.cache)


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
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    folder = cache / "links" / name
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / path.name
    if not (link.is_symlink() and link.readlink() == path):
        temporary = folder.with_name(f"{name}.{os.getpid()}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(path)
        temporary.replace(link)
    return folder
