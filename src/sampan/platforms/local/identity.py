"""Which process is a replica: never a guess by pid alone.

The strongest evidence is the lock file that a replica holds for as long as it lives: the kernel
gives it back at the very death of its last holder. A program that closes all inherited files
loses the lock; then pid, start time and boot must agree *and* the process must carry the marker
of this start in its environment.

Without /proc (macOS) the lock alone decides.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sampan.platforms.local.zygote_child import LOCK, start_ticks

MARKER = "SAMPAN_REPLICA_UID"
"""The environment variable that carries the uid of a start."""

_PROC = Path("/proc")
_ENDED = ("Z", "X", "")  # zombie, dead, gone


@dataclass(frozen=True, slots=True)
class Identity:
    """A process against pid reuse: its pid and its start in clock ticks since boot."""

    pid: int
    ticks: int

    def alive(self) -> bool:
        """Return whether this very process exists (a zombie does not count)."""
        if not _has_proc():
            return _signalable(self.pid)
        return start_ticks(self.pid) == self.ticks and _process_state(self.pid) not in _ENDED


def boot_id() -> str:
    """Return the kernel's name of this boot ("" where there is none)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def lock_holder(folder: Path) -> tuple[bool, Identity | None, str]:
    """Return whether the lock is held, by whom, and for which start (uid), as its file says."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False, None, ""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = False
    except BlockingIOError:
        held = True
    try:
        data = json.loads(os.pread(lock, 4096, 0))
        return held, Identity(data["pid"], data["ticks"]), data["uid"]
    except (ValueError, KeyError):
        return held, None, ""
    finally:
        os.close(lock)


def carries_marker(pid: int, uid: str) -> bool:
    """Return whether the process was started with this uid in its environment."""
    try:
        environ = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{MARKER}={uid}".encode() in environ.split(b"\0")


def stragglers(session: int, uid: str, folder: Path) -> tuple[int, ...]:
    """Return the living processes of a start: by session, by marker, or by the lock they hold.

    A grandchild that left the session keeps the environment; one that was forked from a zygote's
    child keeps the lock. `session` 0: not known for certain any more (its number may be reused).
    Only this user's processes can be seen, and only they can be ours.
    """
    lock = str(folder / LOCK)
    return tuple(
        pid
        for pid in _pids()
        if pid != os.getpid()
        and (
            (session and _session(pid) == session) or carries_marker(pid, uid) or _holds(pid, lock)
        )
        and _process_state(pid) not in _ENDED
    )


def kill_stragglers(session: int, uid: str, folder: Path) -> int:
    """Kill what is left of a start; return how many processes there were.

    Looks again after killing: a process may fork between the look and the signal.
    """
    killed = 0
    for _ in range(10):
        found = stragglers(session, uid, folder)
        for pid in found:
            _send(pid, signal.SIGKILL)
        if not found:
            break
        killed += len(found)
    if session and not _has_proc():
        _send_group(session, signal.SIGKILL)
    return killed


def signal_group(identity: Identity, number: signal.Signals) -> bool:
    """Signal the replica's process group; return False when the replica is gone.

    The leader was identified first: a process group's number is not reused while one member lives.
    """
    if not identity.alive():
        return False
    if not _send_group(identity.pid, number):
        _send(identity.pid, number)  # not yet, or no longer, the leader of a group
    return True


def _has_proc() -> bool:
    return _PROC.joinpath("self").exists()


def _pids() -> Iterator[int]:
    if _has_proc():
        yield from (int(e.name) for e in _PROC.iterdir() if e.name.isdigit())


def _stat_field(pid: int, index: int) -> str:
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return ""
    return stat[stat.rindex(b")") + 2 :].split()[index].decode()


def _process_state(pid: int) -> str:
    return _stat_field(pid, 0)


def _session(pid: int) -> int:
    return int(_stat_field(pid, 3) or -1)


def _holds(pid: int, path: str) -> bool:
    try:
        return any(str(fd.readlink()) == path for fd in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _send_group(group: int, number: signal.Signals) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signalable(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
