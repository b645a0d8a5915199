"""Downloads tried again: which errors, how often, and how long between two tries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from sampan.storage.base import StorageError
from sampan.storage.download import Partial, Version, download
from sampan.storage.http_status import SourceUnavailable
from sampan.storage.job import Job
from sampan.storage.reporter import Reporter
from sampan.storage.source import Source

T = TypeVar("T")

TRANSIENT = frozenset(
    {
        "ConnectionFailed",
        "DownloadStalled",
        "DownloadTruncated",
        "SourceChanged",
        "SourceUnavailable",
    }
)
"""Reasons that the next try may not meet."""

_FIRST_SECONDS = 0.5
_MOST_SECONDS = 30.0
_PROGRESS_BYTES = 1024**2
"""A try that brought this much was no failure of the source: 100 GB over a bad line takes many."""


def retry_delay(failures: int, chance: float, asked: float = 0.0) -> float:
    """Return seconds to wait after the nth failure in a row, counted from 1. Pure.

    Half of an exponential back-off is fixed, half is chance (0 to 1), so that many replicas do not
    come back at once. What the source asked for (`Retry-After`) is the least.
    """
    most = min(_MOST_SECONDS, _FIRST_SECONDS * 2.0 ** min(failures - 1, 10))
    return max(asked, most / 2 + most / 2 * chance)


async def try_patiently(
    attempt: Callable[[], Awaitable[T]],
    arrived: Callable[[], int],
    parts: tuple[Job, Reporter],
    attempts: int,
    given_up: Collection[str] = (),
) -> T:
    """Return what an attempt gives, after up to `attempts` failures in a row; raise the last one.

    `arrived` tells how many bytes are here, `given_up` which transient reasons are not waited out.
    """
    job, reporter = parts
    failures = 0
    while True:
        before = arrived()
        try:
            return await attempt()
        except StorageError as error:
            failures = 1 if arrived() - before >= _PROGRESS_BYTES else failures + 1
            hopeless = error.reason not in TRANSIENT or error.reason in given_up
            if hopeless or failures >= attempts:
                raise
            asked = error.retry_after if isinstance(error, SourceUnavailable) else 0.0
            delay = retry_delay(failures, job.world.chance(), asked)
            reporter.tell(f"Waiting {delay:.1f} s to try again ({error.reason})", before)
        await job.world.clock.sleep(delay)


async def download_patiently(
    source: Source,
    partial: Partial,
    known: Version | None,
    parts: tuple[Job, Reporter],
    attempts: int,
) -> Version | None:
    """Download with up to `attempts` failures in a row; see `download`. Raise the last one."""
    job, reporter = parts
    return await try_patiently(
        lambda: download(source, partial, known, job, reporter),
        lambda: partial.load()[1],
        parts,
        attempts,
    )
