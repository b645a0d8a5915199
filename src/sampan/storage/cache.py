"""The cache of downloaded and unpacked models, shared by all services and processes of a user.

    entries/KEY/content/   a model folder, complete and never changed (KEY: identity and version)
    entries/KEY/entry.json what it is and came from; its time is when it was last used
    names/DIGEST           a link to the newest entry of an identity
    work/DIGEST/           the unfinished download of an identity, kept for the next try
    locks/DIGEST           held by whoever works on an identity

Entries appear by one rename after everything was written and synced, so a crash at any moment
leaves either the whole entry or none. Identities are URIs without credentials.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_DIGEST_LETTERS = 32
"""128 bits of SHA-256: names stay short, and nobody finds two identities with the same."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an entry. `shown` is its URI without secrets, `fetched_at` epoch seconds.

    `etag` and `last_modified` are the source's validators, empty where it gave none. `granted` is
    the mark of whoever it was given to (`storage.granted`).
    """

    shown: str
    size: int
    files: int
    fetched_at: float
    etag: str = ""
    last_modified: str = ""
    granted: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A published model: its folder, and when it was last asked for (epoch seconds)."""

    key: str
    path: Path
    facts: Facts
    used_at: float


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the work on one identity happens. `work` is the lock holder's alone."""

    identity: str
    lock: Path
    work: Path
    name: Path

    @property
    def stage(self) -> Path:
        """Where an entry is put together."""
        return self.work / "stage"

    @property
    def content(self) -> Path:
        """The model folder of the entry that is put together."""
        return self.stage / "content"


def make_key(identity: str, version: str = "") -> str:
    """Return the file name that stands for an identity (in a version). Pure."""
    text = f"{identity}\0{version}" if version else identity
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGEST_LETTERS]


class Cache:
    """Entries by identity. Methods touch the disk; those that change a slot need its lock held."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries = root / "entries"

    def slot(self, identity: str) -> Slot:
        """Return where an identity is worked on, ready for its lock to be taken."""
        digest = make_key(identity)
        slot = Slot(
            identity,
            self.root / "locks" / digest,
            self.root / "work" / digest,
            self.root / "names" / digest,
        )
        for folder in (slot.lock.parent, slot.work.parent, slot.name.parent, self.entries):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return slot

    def find(self, slot: Slot) -> Entry | None:
        """Return the newest entry of an identity, marked as used now, or None."""
        try:
            key = slot.name.readlink().name
        except OSError:
            return None
        return self.use(key)

    def use(self, key: str) -> Entry | None:
        """Return an entry, marked as used now, or None."""
        with suppress(OSError):
            os.utime(self.entries / key / "entry.json")
        return read_entry(self.entries / key)

    def clear_stage(self, slot: Slot) -> None:
        """Make an empty content folder, dropping what a crash left."""
        if slot.stage.exists():
            shutil.rmtree(slot.stage)
        slot.content.mkdir(mode=0o700, parents=True)

    def publish(self, slot: Slot, version: str, facts: Facts) -> Entry:
        """Turn the stage into an entry and drop the slot's work. The entry's content is synced."""
        key = make_key(slot.identity, version)
        (slot.stage / "entry.json").write_text(json.dumps(asdict(facts)))
        sync_tree(slot.stage)
        target = self.entries / key
        if read_entry(target) is None:
            shutil.rmtree(target, ignore_errors=True)  # what is left of one that was cleared away
            slot.stage.replace(target)
            sync_folder(self.entries)
        self._point(slot, target)
        shutil.rmtree(slot.work, ignore_errors=True)
        entry = self.use(key)
        if entry is None:
            raise FileNotFoundError(2, "the entry vanished while it was published", str(target))
        return entry

    def _point(self, slot: Slot, target: Path) -> None:
        link = slot.name.with_name(f"{slot.name.name}.new")
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / "entries" / target.name)
        link.replace(slot.name)


def open_cache(root: Path) -> Cache:
    """Return the cache at a folder, making it, private to the user, where it is missing."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Cache(root)


def read_entry(folder: Path) -> Entry | None:
    """Return what an entry's folder holds; None where there is none, or its content is gone."""
    record, content = folder / "entry.json", folder / "content"
    if not content.exists():
        return None
    try:
        facts = _decode(json.loads(record.read_text()))
        used_at = record.stat().st_mtime
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return Entry(folder.name, content, facts, used_at)


def measure_tree(folder: Path) -> tuple[int, int]:
    """Return bytes and number of the files under a folder; links count as files."""
    files = [p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()]
    return sum(p.lstat().st_size for p in files), len(files)


def sync_tree(folder: Path) -> None:
    """Make everything under a folder survive a power cut."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            _sync(path)
        elif path.is_dir():
            sync_folder(path)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make a folder's names survive a power cut."""
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _decode(record: Mapping[str, object]) -> Facts:
    return Facts(
        shown=str(record["shown"]),
        size=int(str(record["size"])),
        files=int(str(record["files"])),
        fetched_at=float(str(record["fetched_at"])),
        etag=str(record["etag"]),
        last_modified=str(record["last_modified"]),
        granted=str(record.get("granted", "?")),
    )
