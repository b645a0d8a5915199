"""A place in an object store made a folder of the cache, transferring only what is new.

What a folder holds is known by its listing: names, sizes and versions. A listing that is known
already costs one or two requests and no byte of a model.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sampan.storage.archive.limits import make_limits
from sampan.storage.base import Fetched, StorageError
from sampan.storage.cache import Cache, Entry, Slot, make_key, open_cache
from sampan.storage.filling import fill, make_facts
from sampan.storage.granted import OPEN, is_granted, make_mark
from sampan.storage.job import Job
from sampan.storage.lock import hold
from sampan.storage.objects.channel import Channel
from sampan.storage.objects.download import require_object
from sampan.storage.objects.files import Files
from sampan.storage.objects.listing import Listing
from sampan.storage.objects.selection import Wanted, make_version, require_limits
from sampan.storage.objects.store import Store
from sampan.storage.reporter import Reporter
from sampan.storage.retry import retry_delay, try_patiently
from sampan.storage.space import require_space
from sampan.storage.threads import run_blocking

_ATTEMPTS_WITH_COPY = 2
"""With a copy at hand a store gets one second chance, not the patience of a first download."""


async def fetch_objects(
    store: Store, job: Job, trust: ssl.SSLContext | None = None, signature: str = ""
) -> Fetched:
    """Return the folder of a store's model; raise StorageError, OSError.

    `signature` is what of the URI lets somebody in.
    """
    cache = await asyncio.to_thread(open_cache, job.options.cache)
    slot = await asyncio.to_thread(cache.slot, store.identity)
    reporter = Reporter(job.report)
    channel = Channel(job, store.place.shown, trust)
    try:
        async with hold(
            slot.lock, job.world.clock, lambda: reporter.tell("Waiting for another fetch")
        ):
            mark = await _make_mark(store, job, signature)
            fetch = _Fetch(store, cache, slot, channel, (job, reporter), mark)
            return await fetch.refresh()
    finally:
        await channel.close()


async def _make_mark(store: Store, job: Job, signature: str) -> str:
    """Return the mark of who fetches: all that was given to the fetch may be a credential."""
    if store.anonymous:
        return OPEN
    given = [dict(job.options.environment), dict(job.options.files), signature]
    return await make_mark(store.identity, json.dumps(given, sort_keys=True))


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One fetch, with the slot's lock held; `mark` is of who fetches."""

    store: Store
    cache: Cache
    slot: Slot
    channel: Channel
    parts: tuple[Job, Reporter]
    mark: str

    async def refresh(self) -> Fetched:
        """Bring what is new; a copy is served where the store cannot be reached.

        Not where credentials are sent: nobody reads by wrong ones what others fetched by theirs.
        """
        job, reporter = self.parts
        attempts, entry = job.options.attempts, None
        if self.store.anonymous:
            entry = await asyncio.to_thread(self.cache.find, self.slot)
            attempts = min(_ATTEMPTS_WITH_COPY, attempts) if entry else attempts
        for turn in range(1, attempts + 1):
            try:
                return await self._bring(attempts)
            except StorageError as error:
                if entry is not None and error.reason == "ConnectionFailed":
                    return self._served(entry, note=_stale(entry, error))
                if error.reason != "SourceChanged" or turn == attempts:
                    raise
            delay = retry_delay(turn, job.world.chance())
            reporter.tell(f"Waiting {delay:.1f} s to list again (SourceChanged)")
            await job.world.clock.sleep(delay)
        raise AssertionError("the last turn returns or raises")

    async def _bring(self, attempts: int) -> Fetched:
        job, reporter = self.parts
        reporter.tell("Listing")
        wanted = await Listing(self.channel, self.store, self.parts, attempts).files()
        total = require_limits(wanted, job.options, self.store.place.shown)
        version = make_version(wanted)
        key = make_key(self.slot.identity, version)
        entry = await asyncio.to_thread(self.cache.use, key)
        if entry is not None:
            if not is_granted(entry, self.mark):
                await self._require_access(wanted, attempts)
            return self._served(entry)
        files = Files(self.store, self.channel, self.slot.work, tuple(wanted))
        await files.download(total, self.parts, attempts)
        entry = await run_blocking(lambda stop: self._take_in(files, version, stop))
        return replace(self._served(entry), cached=False)

    async def _require_access(self, wanted: list[Wanted], attempts: int) -> None:
        """Raise StorageError unless the store gives these objects: the largest one's last byte.

        Who may list a bucket may not always read it, and others have fetched what is here.
        """
        largest = max(wanted, key=lambda each: each.object.size).object
        if largest.size:
            await try_patiently(
                lambda: require_object(self.channel, self.store, largest),
                lambda: 0,
                self.parts,
                attempts,
                given_up={"SourceChanged"},
            )

    def _take_in(self, files: Files, version: str, stop: threading.Event) -> Entry:
        """Turn complete downloads into an entry: one archive unpacked, everything else as it is."""
        job = self.parts[0]
        try:
            packed = files.single_archive()
            if packed is not None:
                fill(self.cache, self.slot, packed, job, stop, lambda _: None)
            else:
                self.cache.clear_stage(self.slot)
                files.move_into(self.slot.content, make_limits(job.options, self._require_space))
        except StorageError as error:
            if error.reason != "DiskFull":  # bad bytes would be bad at the next try too
                shutil.rmtree(self.slot.work, ignore_errors=True)
            raise
        facts = make_facts(self.slot, self.store.place.shown, job.world.clock.now())
        return self.cache.publish(self.slot, version, replace(facts, granted=self.mark))

    def _require_space(self, needed: int) -> None:
        job = self.parts[0]
        require_space(self.slot.content, needed, job.options.reserve_bytes, job.world.free_bytes)

    def _served(self, entry: Entry, note: str = "") -> Fetched:
        notes = "; ".join(text for text in (self.store.note, note) if text)
        return Fetched(entry.path, entry.facts.size, 0.0, cached=True, note=notes, chosen=True)


def _stale(entry: Entry, error: StorageError) -> str:
    fetched = datetime.fromtimestamp(entry.facts.fetched_at, UTC)
    return f"the copy of {fetched:%Y-%m-%dT%H:%M:%SZ} is served, because there is {error.message}"
