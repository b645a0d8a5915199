"""Who holds a TCP port. Reads `/proc`; answers nothing where there is none."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sampan.gateway.process import observe_command

_LISTEN = "0A"
_SHOWN = 120  # letters of a command: enough to know it by


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A process that listens on a port."""

    pid: int
    command: str


def is_port_free(host: str, port: int) -> bool:
    """Return whether somebody could listen there now, without sharing the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        # Connections that wait out their end do not hold the port; listeners do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def observe_twin_addresses(host: str) -> tuple[str, ...]:
    """Return the other addresses that the names of this one lead to on this machine.

    `localhost` is `::1` first for many clients: who listens on `127.0.0.1` alone leaves that
    door to whoever takes it.
    """
    return ("::1",) if host == "127.0.0.1" and is_port_free("::1", 0) else ()


def observe_port_holder(port: int) -> PortHolder | None:
    """Return the process that listens on a port; None when none is found or it may not be seen."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and inodes & set(_socket_inodes(entry)):
            pid = int(entry.name)
            return PortHolder(pid, show_command(observe_command(pid)))
    return None


def show_command(words: Iterable[str]) -> str:
    """Return a command for the line of a message: short, and whatever is in it printed plainly."""
    line = " ".join(" ".join(words).split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:_SHOWN]


def _listening_inodes(port: int) -> Iterator[str]:
    """Yield listening sockets (`/proc/net/tcp`: address in column 1, state in 3, inode in 9)."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for columns in map(str.split, lines):
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]


def _socket_inodes(process: Path) -> Iterator[str]:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]
