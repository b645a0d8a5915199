"""A model of many files, each known by its size and digest before it comes.

Several come at once, each resumed by itself; every one is verified before it gets its name. What is
in the cache already, from another revision or a fetch that was killed, is not transferred.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sampan.storage.archive.names import is_file_name
from sampan.storage.base import Progress, StorageError
from sampan.storage.blobs import keep_file, link_file
from sampan.storage.cache import Cache, Slot, make_key
from sampan.storage.download import Partial
from sampan.storage.job import Job
from sampan.storage.reporter import Reporter
from sampan.storage.retry import download_patiently
from sampan.storage.source import Source
from sampan.storage.space import require_space, show_bytes
from sampan.storage.threads import run_blocking

_AT_ONCE = 4
"""KServe downloads four objects of a store at once; more lines to one server bring little."""

_READ_BYTES = 1024**2
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Piece:
    """One file: its path in the model's folder, its bytes, what it hashes to, where it is.

    `digest` is `sha256:HEX`, or `git:HEX` for the name that Git gives a file (SHA-1 with a header).
    """

    path: str
    size: int
    digest: str
    source: Source


Bring = Callable[[Piece, Partial, Reporter], Awaitable[None]]
"""Completes the partial file of a piece; raises StorageError."""


@dataclass(frozen=True, slots=True)
class Yard:
    """Where pieces come to: the slot's lock is held.

    `source` names the repository that they are asked from. Blobs are shared within it: who may read
    one of its revisions may read all. A digest that another repository lists proves no right to the
    bytes: everybody may write a list.
    """

    cache: Cache
    slot: Slot
    job: Job
    reporter: Reporter
    source: str

    def blob(self, name: str) -> str:
        """Return by what name the cache knows a blob of the source."""
        return f"{self.source} {name}"


class Together:
    """The progress of many downloads as one."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter = reporter
        self._total = total
        self._done: dict[str, int] = {}

    def reporter(self, name: str) -> Reporter:
        """Return what one download reports to."""

        def tell(progress: Progress) -> None:
            self._done[name] = max(progress.done, self._done.get(name, 0))
            self._reporter.tell(progress.phase, sum(self._done.values()), self._total)

        return Reporter(tell)

    def finish(self, name: str, size: int) -> None:
        """Count a download as whole."""
        self._done[name] = size
        self._reporter.tell("Downloading", sum(self._done.values()), self._total)


def validate_pieces(pieces: Sequence[Piece], yard: Yard, shown: str) -> None:
    """Raise StorageError for more than is allowed, and names that lead out or collide."""
    options = yard.job.options
    total = sum(piece.size for piece in pieces)
    if total > options.max_bytes or len(pieces) > options.max_files:
        raise StorageError(
            "DownloadTooLarge",
            f'"{shown}" has {len(pieces)} files of {show_bytes(total)}, and {options.max_files} '
            f"files of {show_bytes(options.max_bytes)} are allowed; check that it is what it "
            "should be, or raise the limit (max_bytes, max_files)",
        )
    paths = {piece.path for piece in pieces}
    for path in paths:
        parts = path.split("/", _MAX_DEPTH - 1)  # a rest with "/" in it is no file's name
        above = {"/".join(parts[:i]) for i in range(1, len(parts))}
        if not all(map(is_file_name, parts)) or above & paths:
            raise StorageError(
                "SourceRefused",
                f'"{shown}" lists the file "{path[:200]}", which has no place in a folder; '
                "have the model published with plain relative names",
            )


async def collect(pieces: Sequence[Piece], yard: Yard, shown: str, bring: Bring) -> None:
    """Bring every piece into the stage of the slot; raise the first StorageError."""
    validate_pieces(pieces, yard, shown)
    unique = {piece.path: piece for piece in pieces}
    await asyncio.to_thread(yard.cache.clear_stage, yard.slot)
    missing = await asyncio.to_thread(_link_known, list(unique.values()), yard)
    await asyncio.to_thread(_require_room, missing, yard)
    together = Together(yard.reporter, sum(piece.size for piece in unique.values()))
    for piece in unique.values():
        if piece not in missing:
            together.finish(piece.path, piece.size)
    await run_together([_collect_one(piece, yard, together, bring) for piece in missing])


async def run_together(works: Iterable[Awaitable[None]], at_once: int = _AT_ONCE) -> None:
    """Await works, some at once; the first error ends the others and is raised by itself."""
    gate = asyncio.Semaphore(at_once)

    async def one(work: Awaitable[None]) -> None:
        async with gate:
            await work

    tasks = [asyncio.ensure_future(one(work)) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def bring_patiently(job: Job) -> Bring:
    """Return how a piece is downloaded that needs nothing but its source."""

    async def bring(piece: Piece, partial: Partial, reporter: Reporter) -> None:
        attempts = job.options.attempts
        await download_patiently(piece.source, partial, None, (job, reporter), attempts)

    return bring


async def _collect_one(piece: Piece, yard: Yard, together: Together, bring: Bring) -> None:
    target = yard.slot.content / piece.path
    if await asyncio.to_thread(link_file, yard.cache, yard.blob(piece.digest), target):
        together.finish(piece.path, piece.size)  # the same bytes under another name
        return
    # By path as well as digest: two files of the same bytes may be on their way at once.
    partial = Partial(yard.slot.work / "pieces" / make_key(piece.digest, piece.path))
    await bring(piece, partial, together.reporter(piece.path))
    await run_blocking(lambda stop: _take_in(piece, partial, yard, target, stop))
    together.finish(piece.path, piece.size)


def _take_in(
    piece: Piece, partial: Partial, yard: Yard, target: Path, stop: threading.Event
) -> None:
    verify(partial, piece.digest, piece.source.shown, stop)
    keep_file(yard.cache, yard.blob(piece.digest), partial.body, target)


def verify(partial: Partial, digest: str, shown: str, stop: threading.Event) -> None:
    """Raise StorageError, and drop what came, unless it hashes to `digest`."""
    found = hash_digest(partial.body, digest, stop)
    if found != digest:
        partial.drop()
        raise StorageError(
            "ChecksumMismatch",
            f'"{shown}" has the digest {found}, and {digest} was promised; fetch it again, and '
            "see what stands between this machine and the source if that does not mend it",
        )


def hash_digest(path: Path, digest: str, stop: threading.Event) -> str:
    """Return what a file hashes to, in the form of `digest`; `stop` ends it early."""
    name = digest.partition(":")[0]
    known = {"git": "sha1", "sha256": "sha256", "sha512": "sha512"}
    found = hashlib.new(known[name], usedforsecurity=False)
    if name == "git":
        found.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while (chunk := file.read(_READ_BYTES)) and not stop.is_set():
            found.update(chunk)
    return f"{name}:{found.hexdigest()}"


def _link_known(pieces: list[Piece], yard: Yard) -> list[Piece]:
    return [
        piece
        for piece in pieces
        if not link_file(yard.cache, yard.blob(piece.digest), yard.slot.content / piece.path)
    ]


def _require_room(missing: list[Piece], yard: Yard) -> None:
    here = 0
    for piece in missing:
        partial = Partial(yard.slot.work / "pieces" / make_key(piece.digest, piece.path))
        here += partial.load()[1]
    needed = max(0, sum(piece.size for piece in missing) - here)
    options = yard.job.options
    require_space(yard.slot.content, needed, options.reserve_bytes, yard.job.world.free_bytes)
