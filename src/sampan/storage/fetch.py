"""The way in: `fetch(uri, options, progress)` finds the scheme and makes its errors one kind."""

from __future__ import annotations

import errno
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import import_module
from typing import TypeAlias

from sampan.storage import SCHEMES
from sampan.storage.base import Fetched, FetchOptions, Progress, ReportProgress, StorageError
from sampan.storage.job import Job, World
from sampan.storage.uri import redact, select_scheme

FetchScheme: TypeAlias = Callable[[str, Job], Awaitable[Fetched]]

SYSTEM = World()


def ignore(_progress: Progress) -> None:
    """Tell nobody."""


async def fetch(
    uri: str,
    options: FetchOptions,
    progress: ReportProgress = ignore,
    *,
    world: World = SYSTEM,
) -> Fetched:
    """Make the artefact of a URI a local folder, downloading only what is not here yet.

    `progress` is called on the event loop, a few times a second at most. The folder is to be read
    only: other services share it. Cancelling leaves nothing published; what was downloaded stays
    for the next try. Raises StorageError.
    """
    source = _resolve(select_scheme(uri, SCHEMES))
    started = time.monotonic()
    try:
        fetched = await source(uri, Job(options, progress, world))
    except OSError as error:
        raise make_storage_error(uri, error) from error
    return replace(fetched, seconds=time.monotonic() - started)


def make_storage_error(uri: str, error: OSError) -> StorageError:
    """Return what an error of this machine's disk means for a fetch. Pure."""
    where = f' at "{error.filename}"' if error.filename else ""
    text = f'the model "{redact(uri)}" cannot be kept or read: {error.strerror or error}{where}'
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError("DiskFull", f"{text}; free some disk space", retryable=True)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return StorageError("AccessDenied", f"{text}; give this user the right to it")
    return StorageError("LocalIOError", f"{text}; see to the disk and its rights", retryable=True)


def _resolve(scheme: str) -> FetchScheme:
    module, _, attribute = SCHEMES[scheme].partition(":")
    source: FetchScheme = getattr(import_module(module), attribute)
    return source
