"""A replica's memory limit, kept by looking at what it uses: an ordinary user may make no cgroup.

Counted is what a container of its own would be charged with and cannot give back: anonymous and
shared memory of the process and its descendants. Pages shared with the zygote count, for a
container would have imported the same; file pages do not, for the kernel takes those back. A look
costs some 30 µs a process, and is rarer while a process rests well below its limit. Between two
looks a replica can overshoot; the limit of the address space (RLIMIT_AS) would leave no gap, but
counts what is only reserved, which thread pools do by the gigabyte.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from sampan.machinery.clock import Clock, aligned

POLL_SECONDS = 0.25
REST_SECONDS = 1.0
"""Between two looks at a process that uses less than half of its limit and does not grow."""

_GROWTH = 1 << 20
"""Less than this between two looks is no growth."""
_COUNTED = (b"RssAnon:", b"RssShmem:")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


async def wait_exceeded(pid: int, limit: int, clock: Clock) -> str:
    """Return in words what a process used once that is more than `limit` bytes."""
    before = 0
    while (used := sum(map(used_bytes, family(pid)))) <= limit:
        await clock.sleep(aligned(clock.now(), choose_pause(before, used, limit)))
        before = used
    return (
        f"the process used {show_bytes(used)} of memory and was ended, for its limit is "
        f"{show_bytes(limit)}; raise resources.limits.memory, or serve a smaller model"
    )


def choose_pause(before: int, used: int, limit: int) -> float:
    """Return the seconds until the next look, from what the last two found. Pure."""
    rests = used - before < _GROWTH and used < limit / 2
    return REST_SECONDS if rests else POLL_SECONDS


def used_bytes(pid: int) -> int:
    """Return the memory of one process that counts; 0 when it is gone."""
    try:
        return parse_used(_read(f"/proc/{pid}/status"))
    except OSError:
        return 0


def parse_used(status: bytes) -> int:
    """Return the bytes that count of `/proc/PID/status` (proc_pid_status(5): in KiB). Pure."""
    lines = (line.split() for line in status.splitlines() if line.startswith(_COUNTED))
    return sum(int(words[1]) * 1024 for words in lines)


def family(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield pid
    try:
        tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 # as in `_read`
        children = b" ".join(_read(f"/proc/{pid}/task/{t}/children") for t in tasks).split()
    except OSError:  # ended meanwhile, or a kernel that does not list children
        return
    for child in children:
        yield from family(int(child))


def _read(path: str) -> bytes:
    # Without pathlib and buffered files, which cost more than the kernel's own work here.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, 1 << 16)
    finally:
        os.close(handle)


def show_bytes(count: int) -> str:
    """Return a size for people: `17 B`, `1.5 GiB`. Pure."""
    size, unit = float(count), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.4g} {_UNITS[unit]}"
