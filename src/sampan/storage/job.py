"""One fetch on its way: its options, whom it tells, and the parts of the world it touches."""

from __future__ import annotations

import random
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sampan.machinery.clock import Clock, SystemClock
from sampan.machinery.host_lookup import look_up
from sampan.storage.base import FetchOptions, ReportProgress


def free_bytes(folder: Path) -> int:
    """Return how many bytes this user may still write to the disk of an existing folder."""
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class World:
    """What tests replace: time, chance (a number in [0, 1)), the disk's room, and names."""

    clock: Clock = field(default_factory=SystemClock)
    chance: Callable[[], float] = random.random
    free_bytes: Callable[[Path], int] = free_bytes
    look_up: Callable[[str, int], Awaitable[Sequence[str]]] = look_up


@dataclass(frozen=True, slots=True)
class Job:
    """What a scheme's `fetch(uri, job)` works with."""

    options: FetchOptions
    report: ReportProgress
    world: World
