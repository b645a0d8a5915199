"""What the cache holds, how large it is, and what of it may go.

Who uses an entry is told by the caller (`held`): the platform knows its replicas. Besides, nothing
goes that was asked for a short while ago. An entry goes by one rename first: nobody ever sees half
of one, and what an ended prune left in `trash` goes with the next.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sampan.storage.blobs import list_unshared
from sampan.storage.cache import Cache, Entry, read_entry
from sampan.storage.lock import try_lock

IDLE_SECONDS = 3600.0
"""Between a fetch and the record of whoever asked for it lies the building of an environment."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune removed: entries, and all bytes that came free by it."""

    entries: tuple[Entry, ...]
    size: int


def list_entries(cache: Cache) -> list[Entry]:
    """Return all entries, the most recently used first."""
    found = [read_entry(folder) for folder in _folders(cache.entries)]
    return sorted((e for e in found if e is not None), key=lambda e: e.used_at, reverse=True)


def measure_cache(cache: Cache) -> int:
    """Return the bytes of all that is kept; files that entries share count once."""
    seen: set[tuple[int, int]] = set()
    return sum(_weigh(cache.root / part, seen) for part in ("entries", "blobs", "work", "trash"))


def weigh_entries(entries: Collection[Entry], held: Collection[str]) -> dict[str, int]:
    """Return by key what would come free if an entry went after all those used longer ago.

    A file that several share is counted to the last of them to go; those that are held go never.
    """
    seen: set[tuple[int, int]] = set()
    newest = sorted(entries, key=lambda e: (e.key in held, e.used_at), reverse=True)
    return {entry.key: _weigh(entry.path.parent, seen) for entry in newest}


def select_prunable(
    entries: Collection[Entry],
    now: float,
    keep_bytes: int,
    idle_seconds: float,
    weigh: Callable[[Entry], int] = lambda entry: entry.facts.size,
) -> list[Entry]:
    """Return what must go so that `keep_bytes` stay, the longest unused first. Pure.

    `entries` are those that nobody holds. None goes that was used within `idle_seconds`.
    """
    size = sum(map(weigh, entries))
    chosen = []
    for entry in sorted(entries, key=lambda e: e.used_at):
        if size <= keep_bytes or now - entry.used_at < idle_seconds:
            break
        chosen.append(entry)
        size -= weigh(entry)
    return chosen


def plan_prune(
    cache: Cache, now: float, held: Collection[str], keep_bytes: int, idle_seconds: float
) -> tuple[list[Entry], Mapping[str, int]]:
    """Return what a prune would remove, and what would come free by each. Removes nothing."""
    entries = list_entries(cache)
    weights = weigh_entries(entries, held)
    free = [entry for entry in entries if entry.key not in held]
    fixed = sum(weights[entry.key] for entry in entries if entry.key in held)
    left = max(0, keep_bytes - fixed)
    chosen = select_prunable(free, now, left, idle_seconds, lambda entry: weights[entry.key])
    return chosen, weights


def prune(
    cache: Cache,
    now: float,
    keep_bytes: int = 0,
    idle_seconds: float = IDLE_SECONDS,
    held: Collection[str] = (),
) -> Pruned:
    """Remove what nobody uses, down to `keep_bytes` in all, and unfinished downloads left alone.

    `held` are the keys of entries that somebody uses.
    """
    freed = _prune_work(cache, now, idle_seconds) + sweep(cache, now)
    chosen, weights = plan_prune(cache, now, held, keep_bytes, idle_seconds)
    gone = tuple(entry for entry in chosen if take_away(cache, entry))
    sweep(cache, now)  # counted with the entries that had them
    return Pruned(gone, freed + sum(weights[entry.key] for entry in gone))


def remove_entry(cache: Cache, entry: Entry) -> int:
    """Remove one entry, whoever uses it; return the bytes that came free.

    None where it was asked for since it was looked at.
    """
    others = {other.key for other in list_entries(cache)} - {entry.key}
    weights = weigh_entries(list_entries(cache), others)
    if not take_away(cache, entry):
        return 0
    sweep(cache, float("inf"))
    return weights.get(entry.key, 0)


def sweep(cache: Cache, now: float) -> int:
    """Remove blobs that no entry has a name of, and the trash; return the bytes of the blobs.

    What came or was asked for within an hour stays: a fetch may be about to use it.
    """
    shutil.rmtree(_trash(cache), ignore_errors=True)  # its files are further names of blobs
    trash, freed = _trash(cache), 0
    for blob in list(list_unshared(cache)):
        with suppress(FileNotFoundError):
            if now - blob.lstat().st_mtime >= IDLE_SECONDS:
                freed += _weigh(blob, set()) if blob.is_dir() else blob.lstat().st_size
                blob.replace(trash / f"{blob.name}.{os.getpid()}.blob")
    shutil.rmtree(trash, ignore_errors=True)
    return freed


def take_away(cache: Cache, entry: Entry) -> bool:
    """Take an entry out of the cache, unless it was asked for since it was looked at."""
    known = read_entry(cache.entries / entry.key)
    if known is None or known.used_at > entry.used_at:
        return False
    with suppress(FileNotFoundError):
        (cache.entries / entry.key).replace(_trash(cache) / f"{entry.key}.{os.getpid()}")
    return True


def _trash(cache: Cache) -> Path:
    trash = cache.root / "trash"
    trash.mkdir(mode=0o700, exist_ok=True)
    return trash


def _prune_work(cache: Cache, now: float, idle_seconds: float) -> int:
    freed = 0
    for folder in _folders(cache.root / "work"):
        lock = try_lock(cache.root / "locks" / folder.name)
        if lock < 0:
            continue
        try:
            files = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
            newest = max((p.stat().st_mtime for p in files), default=0.0)
            if now - newest >= idle_seconds:
                freed += sum(p.stat().st_size for p in files if p.stat().st_nlink == 1)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
    return freed


def _weigh(folder: Path, seen: set[tuple[int, int]]) -> int:
    """Return the bytes of a folder's files that were not seen, which are seen then."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found = path.lstat()
            if path.is_symlink() or path.is_dir() or (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            size += found.st_size
    return size


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from (p for p in parent.iterdir() if p.is_dir())
