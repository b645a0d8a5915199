"""`https://` and `http://`: one file or archive, downloaded once and kept.

Kept files are asked for again with their ETag or date, and transferred only when they changed. A
URI with `#sha256=` cannot change, so its model is served without asking. When the source cannot be
reached, the copy that is here is served, and the result says so. Both are for those who brought it,
and for all where no credentials were sent.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from dataclasses import dataclass, replace

from sampan.storage.archive.names import ArchiveKind, select_kind
from sampan.storage.archive.unpack import Packed
from sampan.storage.azure import fetch as fetch_blobs
from sampan.storage.azure import is_azure
from sampan.storage.base import Fetched, StorageError
from sampan.storage.cache import Cache, Entry, Slot, open_cache
from sampan.storage.checksums import hash_file, validate_digests
from sampan.storage.download import Partial, Version
from sampan.storage.filling import fill, make_facts
from sampan.storage.granted import is_granted, make_mark
from sampan.storage.job import Job
from sampan.storage.lock import hold
from sampan.storage.reporter import Reporter
from sampan.storage.retry import download_patiently
from sampan.storage.serving import ATTEMPTS_WITH_COPY, make_stale
from sampan.storage.source import Source, make_credentials, parse_source
from sampan.storage.threads import run_blocking


async def fetch(uri: str, job: Job) -> Fetched:
    """Return the folder of a URL's model; raise StorageError, OSError. Azure's are containers."""
    if is_azure(uri):
        return await fetch_blobs(uri, job)
    return await fetch_file(uri, job)


async def fetch_file(uri: str, job: Job) -> Fetched:
    """Return the folder of one file or archive; raise StorageError, OSError."""
    source = parse_source(uri)
    cache = await asyncio.to_thread(open_cache, job.options.cache)
    slot = await asyncio.to_thread(cache.slot, source.identity)
    reporter = Reporter(job.report)
    async with hold(slot.lock, job.world.clock, lambda: reporter.tell("Waiting for another fetch")):
        entry = await asyncio.to_thread(cache.find, slot)
        mark = await make_mark(source.identity, _list_credentials(source, job))
        if entry is not None and source.sha256 and is_granted(entry, mark):
            return _served(entry)
        return await _refresh(source, _Shelf(cache, slot, mark), entry, (job, reporter))


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where the file is kept, its slot's lock held, and the mark of who asks for it."""

    cache: Cache
    slot: Slot
    mark: str


def _list_credentials(source: Source, job: Job) -> str:
    """Return all that may be sent for a file, after a redirect too; "" for nothing. Pure."""
    headers = make_credentials(source, job.options, source.url)
    hosts = {host: dict(more) for host, more in job.options.host_headers.items() if more}
    return json.dumps([headers, hosts], sort_keys=True) if headers or hosts else ""


async def _refresh(
    source: Source, shelf: _Shelf, entry: Entry | None, parts: tuple[Job, Reporter]
) -> Fetched:
    """Download what is new. Of another's copy no more is said than of what version it is."""
    job, reporter = parts
    partial = Partial(shelf.slot.work)
    attempts = min(ATTEMPTS_WITH_COPY, job.options.attempts) if entry else job.options.attempts
    known = Version(entry.facts.etag, entry.facts.last_modified) if entry else None
    try:
        version = await download_patiently(source, partial, known, parts, attempts)
    except StorageError as error:
        granted = entry is not None and is_granted(entry, shelf.mark)
        if entry is None or not granted or error.reason != "ConnectionFailed":
            raise
        return _served(entry, make_stale(entry, error))
    if version is None and entry is not None:
        return _served(entry)
    return await _take_in(source, shelf, version or Version(), (job, reporter))


async def _take_in(
    source: Source, shelf: _Shelf, version: Version, parts: tuple[Job, Reporter]
) -> Fetched:
    """Turn a complete download into an entry."""
    job, reporter = parts
    cache, slot = shelf.cache, shelf.slot
    loop = asyncio.get_running_loop()

    def told(done: int) -> None:
        loop.call_soon_threadsafe(reporter.tell, "Unpacking", done)

    def work(stop: threading.Event) -> Entry:
        partial = Partial(slot.work)
        try:
            packed = Packed(partial.body, source.name, select_content(source, version))
            identifier = _verify(source, partial, version, stop)
            fill(cache, slot, packed, job, stop, told)
        except StorageError as error:
            if error.reason != "DiskFull":  # bad bytes would be bad at the next try too
                shutil.rmtree(slot.work, ignore_errors=True)
            raise
        now = job.world.clock.now()
        facts = make_facts(slot, source.shown, now, version.etag, version.last_modified)
        return cache.publish(slot, identifier, replace(facts, granted=shelf.mark))

    entry = await run_blocking(work)
    return replace(_served(entry), cached=False)


def _verify(source: Source, partial: Partial, version: Version, stop: threading.Event) -> str:
    """Check the download against every promise; return what tells this version from others."""
    promised = dict(version.digests)
    if source.sha256:
        promised["sha256"] = source.sha256
    identifier = version.etag or version.last_modified
    # Without a validator two downloads are the same version when their bytes are.
    names = promised if identifier else {**promised, "sha256": ""}
    found = hash_file(partial.body, names, stop)
    validate_digests(found, promised, source.shown)
    return identifier or found["sha256"]


def select_content(source: Source, version: Version) -> ArchiveKind:
    """Return how a download is unpacked; raise StorageError for what is no model. Pure.

    A page of HTML where a model should be is a login or an error that came with status 200.
    """
    kind = select_kind(source.name, source.query)
    if version.content_type == "text/html" and not source.name.endswith((".html", ".htm")):
        raise StorageError(
            "UnexpectedContent",
            f'"{source.shown}" answered with a page (Content-Type "text/html") in place of a file; '
            "open the URI in a browser: it most likely asks to log in, or is not the file's own",
        )
    encoding = version.encoding.removeprefix("x-")
    if encoding in {"", "identity"}:
        return kind
    if encoding == "gzip" and kind is not ArchiveKind.ZIP:
        return kind or ArchiveKind.GZIP
    raise StorageError(
        "UnexpectedContent",
        f'"{source.shown}" answered with the Content-Encoding "{encoding}", which was not asked '
        "for; have the server send the file as it is",
    )


def _served(entry: Entry, note: str = "") -> Fetched:
    return Fetched(entry.path, entry.facts.size, 0.0, cached=True, note=note)
