"""Word from a replica that it is up: a datagram `READY=1` to the socket named in `NOTIFY_SOCKET`.

systemd's protocol (`sd_notify`), which servers of other makers know as well. The word only says
when to look: the readiness probe decides. A replica that says nothing is found by probing alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sampan.machinery.clock import Clock

VARIABLE = "NOTIFY_SOCKET"
SOCKET = "notify"
_READY = b"READY=1"
_LONGEST = 4096
_PATH_LIMIT = 103  # a Unix socket's path has 108 bytes on Linux, 104 on macOS, the end included


def can_hear(folder: Path) -> bool:
    """Tell whether a socket fits in a folder: its path may be too long for one."""
    return len(bytes(folder / SOCKET)) <= _PATH_LIMIT


class Word(asyncio.Event):
    """Set at each word. `first_at` is when the first came (seconds since the epoch; 0: none)."""

    first_at = 0.0


@contextmanager
def hear(folder: Path, clock: Clock) -> Iterator[Word | None]:
    """Listen in a replica's folder. None: it cannot be heard."""
    path, loop = folder / SOCKET, asyncio.get_running_loop()
    path.unlink(missing_ok=True)
    said = Word()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.bind(str(path))
            path.chmod(0o600)
        except OSError:
            yield None
            return
        loop.add_reader(sock, _read, sock, said, clock)
        try:
            yield said
        finally:
            loop.remove_reader(sock)
            path.unlink(missing_ok=True)


def _read(sock: socket.socket, said: Word, clock: Clock) -> None:
    with suppress(BlockingIOError):
        while message := sock.recv(_LONGEST):
            if _READY in message.split(b"\n"):
                said.first_at = said.first_at or clock.now()
                said.set()
