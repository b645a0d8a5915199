"""One fetch on its way: its options, whom it tells, and the parts of the world it touches."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sampan.machinery.clock import Clock, SystemClock
from sampan.storage.base import FetchOptions, ReportProgress


def free_bytes(folder: Path) -> int:
    """Return how many bytes this user may still write to the disk of an existing folder."""
    return shutil.disk_usage(folder).free


async def look_up(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host name, in the resolver's order; raise OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


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
