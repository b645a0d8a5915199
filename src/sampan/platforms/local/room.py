"""How many replicas of a workload this machine can hold, by its free memory.

A replica that does not fit would make the machine swap, and then none of them answers in time. So
what a replica takes is measured on those that serve, and a part of the machine stays free.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sampan.platforms.local.memory_limit import show_bytes

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")

RESERVE_SHARE = 0.05
LEAST_RESERVE = 128 << 20
"""Memory that stays free for the rest of the machine: a twentieth of it, at least 128 MiB."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of this machine, or of the container that it is: all of it, and what is free."""

    total: int
    available: int


def parse_meminfo(text: str) -> Memory | None:
    """Return `MemTotal` and `MemAvailable` of `/proc/meminfo` (in KiB); None without them. Pure."""
    fields = {line.partition(":")[0]: line.split() for line in text.splitlines()}
    try:
        total, available = (int(fields[n][1]) * 1024 for n in ("MemTotal", "MemAvailable"))
    except (KeyError, IndexError, ValueError):
        return None
    return Memory(total, available)


def parse_cgroup(maximum: str, current: str, stat: str) -> Memory | None:
    """Return the memory of a cgroup (v2) with a limit; None where it has none. Pure.

    File pages that nothing has used lately can be taken back, so they count as free.
    """
    if not maximum.strip().isdigit() or not current.strip().isdigit():
        return None
    inactive = next(
        (int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file ")), 0
    )
    total = int(maximum)
    return Memory(total, max(0, total - int(current) + inactive))


def select_tightest(*memories: Memory | None) -> Memory | None:
    """Return the one with the least that is free. Pure."""
    known = [memory for memory in memories if memory is not None]
    return min(known, key=lambda memory: memory.available, default=None)


def count_fitting(memory: Memory, each: int, ready: int) -> int:
    """Return how many replicas of `each` bytes there can be, `ready` of which have theirs. Pure."""
    reserve = max(LEAST_RESERVE, int(memory.total * RESERVE_SHARE))
    return ready + max(0, memory.available - reserve) // max(1, each)


def tell_lacking(memory: Memory | None, each: int) -> str:
    """Return why one more replica of `each` bytes does not fit, "" where it does. Pure.

    Of one like which none runs nothing is known (0): it is refused where the machine has no more
    than must stay free. A request of memory says little: KServe gives 2 GiB to each model.
    """
    if memory is None or memory.available >= each + LEAST_RESERVE:
        return ""
    takes = f"a replica like it takes {show_bytes(each)}, and " if each else ""
    return (
        f"{takes}{show_bytes(memory.available)} of this machine's memory are free, of which"
        f" {show_bytes(LEAST_RESERVE)} stay so; free memory, or where the replica before this one"
        ' does, set deploymentStrategy.type to "Recreate"'
    )


def observe_memory() -> Memory | None:
    """Return the memory of this machine, or of the container around us; None where not told."""
    group = parse_cgroup(*(_read(CGROUP / f"memory.{name}") for name in ("max", "current", "stat")))
    return select_tightest(parse_meminfo(_read(MEMINFO)), group)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
