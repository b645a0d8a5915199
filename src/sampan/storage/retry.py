"""Downloads tried again: which errors, how often, and how long between two tries."""

from __future__ import annotations

from sampan.storage.base import StorageError
from sampan.storage.download import Partial, Version, download
from sampan.storage.http_status import SourceUnavailable
from sampan.storage.job import Job
from sampan.storage.reporter import Reporter
from sampan.storage.source import Source

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


async def download_patiently(
    source: Source,
    partial: Partial,
    known: Version | None,
    parts: tuple[Job, Reporter],
    attempts: int,
) -> Version | None:
    """Download with up to `attempts` failures in a row; see `download`. Raise the last one."""
    job, reporter = parts
    failures = 0
    while True:
        before = partial.load()[1]
        try:
            return await download(source, partial, known, job, reporter)
        except StorageError as error:
            gained = partial.load()[1] - before
            failures = 1 if gained >= _PROGRESS_BYTES else failures + 1
            if error.reason not in TRANSIENT or failures >= attempts:
                raise
            asked = error.retry_after if isinstance(error, SourceUnavailable) else 0.0
            delay = retry_delay(failures, job.world.chance(), asked)
            reporter.tell(f"Waiting {delay:.1f} s to try again ({error.reason})", before)
        await job.world.clock.sleep(delay)
