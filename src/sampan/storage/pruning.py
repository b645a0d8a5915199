"""What the cache holds, how large it is, and what of it may go.

An entry in use is one that somebody holds a reference to (`hold_entry`), or that was asked for a
short while ago. References are files, so those of one process are seen by all; they outlive a
crash, and whoever made them drops them when it starts again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sampan.storage.cache import Cache, Entry, make_key, read_entry
from sampan.storage.lock import try_lock

IDLE_SECONDS = 600.0
"""Between a fetch and the reference of whoever asked for it lie seconds; this is many of them."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune removed: entries, and the bytes that they and unfinished downloads took."""

    entries: tuple[Entry, ...]
    size: int


def list_entries(cache: Cache) -> list[Entry]:
    """Return all entries, the most recently used first."""
    found = [read_entry(folder) for folder in _folders(cache.entries)]
    return sorted((e for e in found if e is not None), key=lambda e: e.used_at, reverse=True)


def measure_cache(cache: Cache) -> int:
    """Return the bytes of all entries and unfinished downloads."""
    files = (p for part in ("entries", "work") for p in (cache.root / part).rglob("*"))
    return sum(p.lstat().st_size for p in files if p.is_file() and not p.is_symlink())


def hold_entry(cache: Cache, key: str, owner: str) -> None:
    """Record that an owner (`namespace/service`, any text) uses an entry."""
    reference = _references(cache, key) / make_key(owner)
    reference.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    reference.write_text(owner)


def release_entry(cache: Cache, key: str, owner: str) -> None:
    """Drop an owner's reference, if there is one."""
    (_references(cache, key) / make_key(owner)).unlink(missing_ok=True)


def list_owners(cache: Cache, key: str) -> list[str]:
    """Return who holds an entry."""
    return sorted(p.read_text() for p in _references(cache, key).glob("*"))


def select_prunable(
    entries: list[Entry], now: float, keep_bytes: int, idle_seconds: float
) -> list[Entry]:
    """Return what must go so that `keep_bytes` stay, the longest unused first. Pure.

    `entries` are those that nobody holds. None goes that was used within `idle_seconds`.
    """
    size = sum(entry.facts.size for entry in entries)
    chosen = []
    for entry in sorted(entries, key=lambda e: e.used_at):
        if size <= keep_bytes or now - entry.used_at < idle_seconds:
            break
        chosen.append(entry)
        size -= entry.facts.size
    return chosen


def prune(
    cache: Cache, now: float, keep_bytes: int = 0, idle_seconds: float = IDLE_SECONDS
) -> Pruned:
    """Remove what nobody uses, down to `keep_bytes`, and unfinished downloads that nobody works on.

    An entry goes by one rename first: nobody ever sees half of one.
    """
    free = [e for e in list_entries(cache) if not list_owners(cache, e.key)]
    chosen = select_prunable(free, now, keep_bytes, idle_seconds)
    trash = cache.root / "trash"
    trash.mkdir(mode=0o700, exist_ok=True)
    for entry in chosen:
        with suppress(FileNotFoundError):
            (cache.entries / entry.key).replace(trash / f"{entry.key}.{os.getpid()}")
    freed = sum(entry.facts.size for entry in chosen) + _prune_work(cache, now, idle_seconds)
    shutil.rmtree(trash, ignore_errors=True)
    return Pruned(tuple(chosen), freed)


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
                freed += sum(p.stat().st_size for p in files)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
    return freed


def _references(cache: Cache, key: str) -> Path:
    return cache.root / "references" / key


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from (p for p in parent.iterdir() if p.is_dir())
