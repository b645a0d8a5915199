"""A process by identity: is it still the one that was started, when does it end, end it.

A pid alone may have been given to a stranger; a pid with its start time (field 22 of
`/proc/PID/stat`) never is.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Identity:
    """Which process: pid, and the clock ticks after boot at which it started."""

    pid: int
    start_ticks: int


def observe_identity(pid: int) -> Identity | None:
    """Return who has this pid now; None when nobody has it or it has ended (a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in {"Z", "X"} else Identity(pid, int(fields[19]))


def observe_command(pid: int) -> tuple[str, ...]:
    """Return the arguments of a process; none when it cannot be read."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(part.decode(errors="replace") for part in raw.split(b"\0") if part)


def observe_cpu_ticks(pid: int) -> int:
    """Return the clock ticks of CPU that a process has used; 0 when it cannot be read.

    Fields 14 and 15 of `/proc/PID/stat`.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[11]) + int(fields[12])


def is_running(identity: Identity) -> bool:
    """Return whether that very process is still there."""
    return observe_identity(identity.pid) == identity


async def wait_exit(identity: Identity) -> None:
    """Return when the process has ended: at once where the kernel has pidfds, else by polling."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except (AttributeError, OSError):
        while is_running(identity):  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(_POLL_SECONDS)
        return
    try:
        # Opened after the check of the pid, so a stranger's pid shows here and nowhere later.
        if is_running(identity):
            await _wait_readable(descriptor)
    finally:
        os.close(descriptor)


async def _wait_readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)


async def stop_group(identity: Identity, grace_seconds: float) -> None:
    """End a session leader and its whole group: SIGTERM, and SIGKILL after the grace."""
    if not is_running(identity):
        return
    _signal(identity, signal.SIGTERM)
    try:
        await asyncio.wait_for(wait_exit(identity), grace_seconds)
    except TimeoutError:
        _signal(identity, signal.SIGKILL)
        await wait_exit(identity)


def _signal(identity: Identity, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(identity.pid, number)
