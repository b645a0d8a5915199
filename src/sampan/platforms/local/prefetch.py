"""Models of services that sleep, kept at hand: what the next request will need is read already.

Each model is on the disk (`diff` has it fetched again where a cache was emptied) and its files are
in the kernel's page cache, as far as the free memory allows. They are read once; after that the
kernel is told now and then that they are needed, which costs little for what is there.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sampan.machinery.clock import Clock
from sampan.plan.types import ServiceKey
from sampan.platforms.local.desired import Desired, DesiredWorkload
from sampan.platforms.local.memory_limit import show_bytes
from sampan.platforms.local.room import Memory, observe_memory

log = logging.getLogger(__name__)

EACH_SECONDS = 15.0
"""What other programs have pushed out of memory is asked for again this often."""
_READ_BYTES = 4 << 20
_ADVISED_BYTES = 128 << 10
"""The kernel reads no more ahead for one advice than a device's read-ahead, 128 KiB by default."""
LARGEST_SHARE = 0.5
"""As much of the free memory may be taken by one model: page cache gives way, but others' too."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is said of a model: its bytes, and why they are not in memory ("": they are)."""

    size: int
    missing: str = ""

    def __str__(self) -> str:
        """Return it as a sentence's part."""
        if self.missing:
            return f"its model is on the disk, but not in memory: {self.missing}"
        return f"its model is in memory ({show_bytes(self.size)})"


def select_sleeping(desired: Desired) -> dict[str, DesiredWorkload]:
    """Return the workloads of a service whose models are kept at hand, by name. Pure."""
    return {w.name: w for w in desired.workloads if w.prefetch and not w.replicas}


def is_too_large(size: int, memory: Memory | None) -> str:
    """Return why a model of so many bytes is not read into memory, "" where it is. Pure."""
    if memory is None or size <= memory.available * LARGEST_SHARE:
        return ""
    return f"{show_bytes(size)} are more than half of the {show_bytes(memory.available)} free"


class Prefetching:
    """Keeps models at hand. `folders` says where a workload's are, None while they are not there;
    `notify` has a service decided anew.
    """

    def __init__(
        self,
        folders: Callable[[DesiredWorkload], Sequence[str] | None],
        notify: Callable[[ServiceKey], None],
        clock: Clock,
        memory: Callable[[], Memory | None] = observe_memory,
    ) -> None:
        self._folders = folders
        self._notify = notify
        self._clock = clock
        self._observe_memory = memory
        self._sleeping: dict[ServiceKey, dict[str, DesiredWorkload]] = {}
        self._kept: dict[tuple[ServiceKey, str], Kept] = {}
        self._wake = asyncio.Event()

    def note(self, desired: Desired) -> None:
        """Take note of what sleeps of a service."""
        before = self._sleeping.pop(desired.service, {})
        sleeping = select_sleeping(desired)
        if sleeping:
            self._sleeping[desired.service] = sleeping
        for name in before.keys() - sleeping.keys():
            self._kept.pop((desired.service, name), None)
        if sleeping.keys() - before.keys():
            self._wake.set()

    def told(self, service: ServiceKey, workload: str) -> str:
        """Return what is to be said of a workload's model; "" where nothing is kept for it."""
        kept = self._kept.get((service, workload))
        return str(kept) if kept else ""

    async def run(self) -> None:
        """Keep the models of what sleeps until cancelled."""
        while True:
            if not self._sleeping:
                self._wake.clear()
                await self._wake.wait()
            try:
                await self.look()
            except OSError as error:  # emptied meanwhile: the next look has it fetched
                log.debug("a model could not be kept at hand: %s", error)
            await self._pause()

    async def look(self) -> None:
        """Read what is not in memory, once."""
        for service, name, workload in tuple(self._each()):
            folders = self._folders(workload)  # has what is gone fetched again
            if folders is None:
                self._kept.pop((service, name), None)
                continue
            known = self._kept.get((service, name))
            take = apply_advice if known and not known.missing else apply_reading
            kept = await asyncio.to_thread(take, folders, self._observe_memory())
            if known != kept:
                self._kept[service, name] = kept
                self._notify(service)

    def _each(self) -> Iterator[tuple[ServiceKey, str, DesiredWorkload]]:
        for service, sleeping in self._sleeping.items():
            yield from ((service, name, workload) for name, workload in sleeping.items())

    async def _pause(self) -> None:
        self._wake.clear()
        waking = asyncio.ensure_future(self._wake.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(EACH_SECONDS))
        try:
            await asyncio.wait({waking, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            sleeping.cancel()


def apply_reading(folders: Iterable[str], memory: Memory | None) -> Kept:
    """Read the files of models, which leaves them in the page cache; raise OSError."""
    sizes = observe_files(folders)
    size = sum(sizes.values())
    if too_large := is_too_large(size, memory):
        return Kept(size, too_large)
    for path in sizes:
        _read(path)
    return Kept(size)


def apply_advice(folders: Iterable[str], memory: Memory | None) -> Kept:
    """Have the kernel read what is not in its cache any more; raise OSError."""
    sizes = observe_files(folders)
    if not hasattr(os, "posix_fadvise"):  # macOS
        return apply_reading(folders, memory)
    for path, size in sizes.items():
        with path.open("rb", buffering=0) as file:
            for start in range(0, size, _ADVISED_BYTES):
                os.posix_fadvise(file.fileno(), start, _ADVISED_BYTES, os.POSIX_FADV_WILLNEED)
    return Kept(sum(sizes.values()))


def observe_files(folders: Iterable[str]) -> Mapping[Path, int]:
    """Return every file of these folders (or files), and its bytes."""
    found: dict[Path, int] = {}
    for folder in map(Path, folders):
        paths = folder.rglob("*") if folder.is_dir() else [folder]
        found |= {path: path.stat().st_size for path in paths if path.is_file()}
    return found


def _read(path: Path) -> None:
    """Read a file through a buffer of its own, for no other."""
    buffer = bytearray(_READ_BYTES)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
