"""The files of one listing on their way here: several at once, each resumed where it stopped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sampan.storage.archive.limits import Limits
from sampan.storage.archive.names import ArchiveKind, select_kind
from sampan.storage.archive.unpack import Packed
from sampan.storage.base import StorageError
from sampan.storage.cache import make_key
from sampan.storage.download import Partial
from sampan.storage.job import Job
from sampan.storage.objects.channel import Channel
from sampan.storage.objects.download import download_object, load_part
from sampan.storage.objects.packed import unpack_object
from sampan.storage.objects.selection import Wanted
from sampan.storage.objects.store import Store
from sampan.storage.reporter import Reporter
from sampan.storage.retry import try_patiently
from sampan.storage.space import require_space


class Tally:
    """How many bytes of all files are here, told as they come."""

    def __init__(self, reporter: Reporter, total: int, have: dict[str, int]) -> None:
        self._reporter = reporter
        self._total = total
        self._have = have
        self._sum = sum(have.values())

    def set(self, path: str, size: int) -> None:
        """Note how much of a file is here."""
        self._sum += size - self._have.get(path, 0)
        self._have[path] = size
        self._reporter.tell("Downloading", self._sum, self._total)


@dataclass(frozen=True, slots=True)
class Files:
    """What is wanted of a store; unfinished files lie in `work`, whose lock the caller holds."""

    store: Store
    channel: Channel
    work: Path
    wanted: tuple[Wanted, ...]

    async def download(self, total: int, parts: tuple[Job, Reporter], attempts: int) -> None:
        """Complete every file, as many at once as the store allows; raise StorageError."""
        job, reporter = parts
        have = await asyncio.to_thread(self._measure)
        reserve, free_bytes = job.options.reserve_bytes, job.world.free_bytes
        missing = total - sum(have.values())
        await asyncio.to_thread(require_space, self.work, missing, reserve, free_bytes)
        tally, queue = Tally(reporter, total, have), iter(self.wanted)

        async def work() -> None:
            for each in queue:
                await self._complete(each, tally, parts, attempts)

        await _together(work, min(self.store.concurrency, len(self.wanted)))

    def single_archive(self) -> Packed | None:
        """Return the archive where it is the only file (KServe); tar and zip are unpacked."""
        if len(self.wanted) != 1:
            return None
        name = self.wanted[0].path.rpartition("/")[2]
        kind = select_kind(name)
        if kind not in {ArchiveKind.TAR, ArchiveKind.ZIP}:
            return None
        return Packed(self._partial(self.wanted[0]).body, name, kind)

    def move_into(self, folder: Path, limits: Limits) -> None:
        """Bring the complete files to their places; raise StorageError where one is taken.

        Names that differ in their letters' case are one file on some disks.
        """
        left = limits.max_bytes
        for each in self.wanted:
            target = folder / each.path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.path.lexists(target):
                raise StorageError(
                    "SourceRefused",
                    f'another object has the place of "{each.object.name}" on this disk, which '
                    "does not tell capital letters from small ones; rename one of them",
                )
            body = self._partial(each).body
            if each.object.packed:
                left -= unpack_object(each.object, body, target, replace(limits, max_bytes=left))
                continue
            body.chmod(0o444)
            body.replace(target)

    async def _complete(
        self, each: Wanted, tally: Tally, parts: tuple[Job, Reporter], attempts: int
    ) -> None:
        partial = self._partial(each)

        async def attempt() -> None:
            await download_object(
                self.channel,
                self.store,
                each.object,
                partial,
                lambda size: tally.set(each.path, size),
            )

        await try_patiently(
            attempt, lambda: partial.load()[1], parts, attempts, given_up={"SourceChanged"}
        )

    def _measure(self) -> dict[str, int]:
        self.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {w.path: load_part(self._partial(w), w.object)[1] for w in self.wanted}

    def _partial(self, each: Wanted) -> Partial:
        name = make_key(each.object.name, f"{each.object.size} {each.object.version}")
        return Partial(self.work / "objects" / name)


async def _together(work: Callable[[], Awaitable[None]], times: int) -> None:
    """Run the same work several times at once; the first error ends all, and is raised."""
    tasks = [asyncio.ensure_future(work()) for _ in range(times)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
