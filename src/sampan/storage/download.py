"""A body brought into a file across stalls, cuts and restarts: only what is missing is asked for.

The unfinished file lies beside a record of which version it is part of. The next try asks for the
rest with `Range` and `If-Range` (RFC 9110, 13.1.5 and 14), so that a source that changed sends all
of it anew. What comes back is checked against what was asked: servers get ranges wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from sampan.storage.base import StorageError
from sampan.storage.checksums import derive_digests
from sampan.storage.http_status import make_status_error
from sampan.storage.job import Job
from sampan.storage.network import Answer, Arrived, open_answer
from sampan.storage.reporter import Reporter
from sampan.storage.source import Source
from sampan.storage.space import require_space, show_bytes
from sampan.storage.threads import run_blocking

_BUFFER_BYTES = 512 * 1024
"""Written at once, on a thread: a hop costs 50 µs, and a slow disk must not stop the loop."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Version:
    """What a source says of the bytes it sends. `total` is 0 where it does not tell."""

    etag: str = ""
    last_modified: str = ""
    total: int = 0
    encoding: str = ""
    content_type: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def validator(self) -> str:
        """What `If-Range` may carry: a strong ETag, else the date (RFC 9110, 13.1.5)."""
        weak = self.etag.startswith("W/")
        return self.etag if self.etag and not weak else self.last_modified


@dataclass(frozen=True, slots=True)
class Partial:
    """A download's file and its record, in a folder that the caller holds the lock of."""

    folder: Path

    @property
    def body(self) -> Path:
        """The bytes that are here."""
        return self.folder / "body"

    def load(self) -> tuple[Version, int]:
        """Return the version of the bytes that are here and their number; 0 when unusable."""
        try:
            version = Version(**json.loads((self.folder / "body.json").read_text()))
            size = self.body.stat().st_size
        except (OSError, ValueError, TypeError):
            return Version(), 0
        return (version, size) if version.validator else (Version(), 0)

    def start(self, version: Version) -> None:
        """Begin anew with a version."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.body.write_bytes(b"")
        self.save(version)

    def save(self, version: Version) -> None:
        """Record the version."""
        temporary = self.folder / "body.json.new"
        temporary.write_text(json.dumps(asdict(version)))
        temporary.replace(self.folder / "body.json")

    def drop(self) -> None:
        """Forget the bytes."""
        (self.folder / "body.json").unlink(missing_ok=True)
        self.body.unlink(missing_ok=True)


async def download(
    source: Source, partial: Partial, known: Version | None, job: Job, reporter: Reporter
) -> Version | None:
    """Make one try to complete the partial file; return its version, or None for "not modified".

    `known` is the version that the caller has already. Raises StorageError; what came stays.
    """
    begun, have = await asyncio.to_thread(partial.load)
    complete = bool(have) and have == begun.total
    arrived = Arrived()
    asked = make_headers(begun if complete else known, begun, 0 if complete else have)
    async with open_answer(source, asked, job, arrived) as answer:
        if answer.status == 304:
            return begun if complete else None
        if answer.status == 416:  # what is here is no part of what is there
            await asyncio.to_thread(partial.drop)
        version, arrived.count = accept(source, answer, begun, have)
        await asyncio.to_thread(_prepare, partial, version, arrived.count, job)
        await _receive(source, answer, partial, version, (job, reporter))
    return version


def make_headers(known: Version | None, begun: Version, have: int) -> dict[str, str]:
    """Return the headers that ask for what is missing. Pure."""
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "sampan"}
    if known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    elif known is not None and known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    if have:
        headers["Range"] = f"bytes={have}-"
        headers["If-Range"] = begun.validator
    return headers


def accept(source: Source, answer: Answer, begun: Version, have: int) -> tuple[Version, int]:
    """Return the version that an answer's body belongs to, and where in it the body starts.

    Pure. Raises StorageError for an answer that is no part of what was asked for.
    """
    partial = answer.status == 206
    version = _version(answer.headers, partial=partial)
    if answer.status == 200:
        return version, 0
    if not partial:
        raise make_status_error(source.shown, answer.status, answer.headers)
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    same = version.validator in {begun.validator, ""}
    if not have or found is None or int(found[1]) != have or not same:
        raise StorageError(
            "SourceChanged",
            f'"{source.shown}" sent a part that does not continue the {have} bytes that are here; '
            "it is fetched again from the start",
            retryable=True,
        )
    total = int(found[2]) if found[2] != "*" else begun.total
    return replace(begun, total=total, digests={**begun.digests, **version.digests}), have


def _version(headers: Mapping[str, str], *, partial: bool) -> Version:
    length = headers.get("content-length", "")
    return Version(
        etag=headers.get("etag", ""),
        last_modified=headers.get("last-modified", ""),
        total=int(length) if length.isdecimal() and not partial else 0,
        encoding=headers.get("content-encoding", "").lower(),
        content_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
        digests=derive_digests(headers, partial=partial),
    )


def _prepare(partial: Partial, version: Version, offset: int, job: Job) -> None:
    if offset:
        partial.save(version)
    else:
        partial.start(version)
    _require_size(version.total, job)
    missing = max(0, version.total - offset)
    require_space(partial.folder, missing, job.options.reserve_bytes, job.world.free_bytes)


async def _receive(
    source: Source,
    answer: Answer,
    partial: Partial,
    version: Version,
    parts: tuple[Job, Reporter],
) -> None:
    job, reporter = parts
    sink = Sink(partial, job)
    try:
        async for chunk in answer.body:
            await sink.write(chunk)
            reporter.tell("Downloading", sink.size, version.total)
    finally:
        await sink.close()
    if version.total and sink.size != version.total:
        if sink.size > version.total:
            partial.drop()
        raise StorageError(
            "DownloadTruncated",
            f'"{source.shown}" sent {sink.size} of {version.total} bytes; '
            "try again later, or look at the server",
            retryable=True,
        )


class Sink:
    """Appends to the partial file in large pieces, watching size and disk."""

    def __init__(self, partial: Partial, job: Job) -> None:
        self._folder = partial.folder
        self._job = job
        self._file = partial.body.open("ab")
        self._buffer = bytearray()
        self._unchecked = job.options.check_bytes
        self.size = self._file.tell()

    async def write(self, chunk: bytes) -> None:
        """Take bytes; raise StorageError for too many or no room."""
        self._buffer += chunk
        self.size += len(chunk)
        _require_size(self.size, self._job)
        if len(self._buffer) >= _BUFFER_BYTES:
            # Also a download that is called off waits for the thread: two who write the same
            # buffer would leave a part that is longer than what came.
            await run_blocking(lambda _: self._flush())

    async def close(self) -> None:
        """Write what is left: also when the download broke, for the next try."""
        await run_blocking(lambda _: self._finish())

    def _finish(self) -> None:
        with self._file:
            self._flush()
            self._file.flush()
            os.fsync(self._file.fileno())

    def _flush(self) -> None:
        self._unchecked -= len(self._buffer)
        if self._unchecked <= 0:
            options, free_bytes = self._job.options, self._job.world.free_bytes
            require_space(self._folder, len(self._buffer), options.reserve_bytes, free_bytes)
            self._unchecked = options.check_bytes
        self._file.write(self._buffer)
        self._buffer.clear()


def _require_size(size: int, job: Job) -> None:
    if size > job.options.max_bytes:
        raise StorageError(
            "DownloadTooLarge",
            f"the download of {show_bytes(size)} is larger than {show_bytes(job.options.max_bytes)}"
            " allow; check that it is what it should be, or raise the limit (max_bytes)",
        )
