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

VARIABLE = "NOTIFY_SOCKET"
SOCKET = "notify"
_READY = b"READY=1"
_LONGEST = 4096
_PATH_LIMIT = 103  # a Unix socket's path has 108 bytes on Linux, 104 on macOS, the end included


def can_hear(folder: Path) -> bool:
    """Tell whether a socket fits in a folder: its path may be too long for one."""
    return len(bytes(folder / SOCKET)) <= _PATH_LIMIT


@contextmanager
def hear(folder: Path) -> Iterator[asyncio.Event | None]:
    """Listen in a replica's folder; the event is set at each word. None: it cannot be heard."""
    path, loop = folder / SOCKET, asyncio.get_running_loop()
    path.unlink(missing_ok=True)
    said = asyncio.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.bind(str(path))
            path.chmod(0o600)
        except OSError:
            yield None
            return
        loop.add_reader(sock, _read, sock, said)
        try:
            yield said
        finally:
            loop.remove_reader(sock)
            path.unlink(missing_ok=True)


def _read(sock: socket.socket, said: asyncio.Event) -> None:
    with suppress(BlockingIOError):
        while message := sock.recv(_LONGEST):
            if _READY in message.split(b"\n"):
                said.set()
