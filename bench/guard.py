"""Ends what a bench started when the bench itself was killed: `python guard.py < WORDS`.

`+GROUP` a line says that a process group is running, `-GROUP` that it has ended. When the input
ends, whatever still runs is asked to end, and made to after some seconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

GRACE_SECONDS = 5.0


def watch() -> set[int]:
    """Read until the bench has gone; return the groups that it left."""
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    return groups


def end(groups: set[int]) -> None:
    """End process groups: asked first, killed when they stay."""
    deadline = time.monotonic() + GRACE_SECONDS
    send(groups, signal.SIGTERM)
    while groups and time.monotonic() < deadline:
        groups = send(groups, 0)
        time.sleep(0.05)
    send(groups, signal.SIGKILL)


def send(groups: set[int], number: int) -> set[int]:
    """Send a signal (0: none) to groups; return those that are still there."""
    there = set()
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, number)
            there.add(group)
    return there


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the bench
    end(watch())
