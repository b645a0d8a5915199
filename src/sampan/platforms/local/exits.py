"""How a replica's process ended: seeing it (`wait_gone`) and saying it (`make_exit`).

Reasons are Kubernetes's: Completed, Error, OOMKilled, StartError, ContainerStatusUnknown; a probe
that ended the replica gives Unhealthy.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from sampan.plan.observed import Exit
from sampan.platforms.local.identity import Identity
from sampan.platforms.local.zygote_child import EXIT, TERMINATION

MAX_TERMINATION_MESSAGE = 4096
"""Bytes of a termination message that are read (Kubernetes, "terminationMessagePath")."""

_POLL_SECONDS = 0.25  # only where the kernel has no pidfd


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of an end: the wait status (None: nobody could reap it) and its circumstances.

    `killed_for` is why the launcher itself ended the process ("": it did not), and so is
    `over_memory` where that was its memory limit.
    """

    status: int | None
    started_at: float
    finished_at: float
    killed_for: str = ""
    over_memory: str = ""
    out_of_memory: bool = False
    termination: str = ""
    last_lines: tuple[str, ...] = ()


async def wait_gone(identity: Identity) -> None:
    """Return when the process has ended. Any process, not only children (pidfd_open(2))."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        while identity.alive():  # noqa: ASYNC110 # nothing tells us of a stranger's end here
            await asyncio.sleep(_POLL_SECONDS)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        if not identity.alive():  # ended, or even reused, before the descriptor was opened
            return
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def make_exit(ending: Ending) -> Exit:
    """Return the exit in Kubernetes's terms. Pure."""
    code, signal_name = _decode(ending.status)
    reason, message = _parse_termination(ending.termination)
    return Exit(
        code=code,
        signal=signal_name,
        reason=_reason(ending, code, reason),
        message=("" if ending.over_memory else message) or _message(ending, code, signal_name),
        last_lines=ending.last_lines,
        started_at=ending.started_at,
        finished_at=ending.finished_at,
    )


def read_termination(folder: Path) -> str:
    """Return the termination message that the replica left ("" when none)."""
    try:
        with (folder / TERMINATION).open("rb") as file:
            return file.read(MAX_TERMINATION_MESSAGE).decode("utf-8", "replace")
    except OSError:
        return ""


def read_exit(folder: Path, uid: str) -> tuple[int, float] | None:
    """Return the wait status and time that a zygote left for this start, or None."""
    try:
        data = json.loads((folder / EXIT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return (data["status"], data["finished_at"]) if data.get("uid") == uid else None


def _decode(status: int | None) -> tuple[int | None, str]:
    """Return the exit code (128 + n for signal n, as Kubernetes has it) and the signal's name."""
    if status is None:
        return None, ""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code, ""
    try:
        return 128 - code, signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name of its own
        return 128 - code, f"SIG{-code}"


def _parse_termination(text: str) -> tuple[str, str]:
    text = text.strip()
    try:
        data = json.loads(text)
    except ValueError:
        return "", text
    if not isinstance(data, dict):
        return "", text
    return str(data.get("reason", "")), str(data.get("message", ""))


def _reason(ending: Ending, code: int | None, written: str) -> str:
    if ending.killed_for:
        return "Unhealthy"
    if ending.over_memory or ending.out_of_memory:
        return "OOMKilled"
    if written:
        return written
    if code is None:
        return "ContainerStatusUnknown"
    return "Completed" if code == 0 else "Error"


def _message(ending: Ending, code: int | None, signal_name: str) -> str:
    if ending.killed_for:
        return ending.killed_for
    if ending.over_memory:
        return ending.over_memory
    if ending.out_of_memory:
        return (
            "the machine ran out of memory and its kernel ended the process; "
            "use a smaller model, fewer replicas or more memory"
        )
    if code is None:
        return "the process ended while nobody watched, so its exit code is not known"
    if signal_name:
        return f"the process was ended by {signal_name}"
    return f'the process ended with exit code "{code}"'
