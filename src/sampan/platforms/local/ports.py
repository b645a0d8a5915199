"""Loopback ports that stand for container ports.

Ports come from outside the kernel's ephemeral range, so that no outgoing connection takes one
between its choice and the replica's bind. A port is handed out once until it is released.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field


class NoFreePort(Exception):
    """Every port of the range is taken."""


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port, on any IPv4 address of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            return False
    return True


@dataclass(slots=True)
class PortPool:
    """Hands out ports of `first..last`. The default lies below Linux's ephemeral range (32768)
    and Kubernetes's node ports (30000).

    The search starts at a random place, so that two pools on one machine rarely meet.
    """

    first: int = 20_000
    last: int = 29_999
    taken: set[int] = field(default_factory=set)
    _next: int = 0

    def __post_init__(self) -> None:
        self._next = random.randint(self.first, self.last)  # noqa: S311 # not a secret

    def take(self) -> int:
        """Return a port that nobody listens on, and keep it from others until `release`."""
        for _ in range(self.last - self.first + 1):
            port = self._next
            self._next = self.first if port == self.last else port + 1
            if port not in self.taken and is_free(port):
                self.taken.add(port)
                return port
        raise NoFreePort(
            f'no port of the range "{self.first}-{self.last}" is free on this machine; '
            "stop some service or choose a wider range"
        )

    def is_free(self, port: int) -> bool:
        """Return whether a port is in the range, not handed out, and nobody listens on it."""
        return self.first <= port <= self.last and port not in self.taken and is_free(port)

    def reserve(self, ports: Iterable[int]) -> None:
        """Keep ports that adopted replicas already use."""
        self.taken.update(ports)

    def release(self, ports: Iterable[int]) -> None:
        """Give ports back."""
        self.taken.difference_update(ports)
