"""Kept HTTP connections of the standard library's client, one a thread."""

from __future__ import annotations

import http.client
import ssl
import threading

from sampan.client.address import Address


class Connections:
    """Makes and keeps connections to one address."""

    def __init__(self, address: Address, timeout: float, context: ssl.SSLContext | None) -> None:
        self._address = address
        self._timeout = timeout
        self._context = context
        self._local = threading.local()
        self._all: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()

    def take(self) -> tuple[http.client.HTTPConnection, bool]:
        """Return this thread's connection, and whether it has been used before.

        It is open already; OSError where it cannot be opened.
        """
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is not None and kept.sock is not None:
            return kept, True
        made = self.make()
        self._local.connection = made
        return made, False

    def make(self) -> http.client.HTTPConnection:
        """Return a new open connection, closed with the others; OSError."""
        host, port = self._address.host, self._address.port
        made: http.client.HTTPConnection
        if self._address.scheme == "https":
            made = http.client.HTTPSConnection(
                host, port, timeout=self._timeout, context=self._context
            )
        else:
            made = http.client.HTTPConnection(host, port, timeout=self._timeout)
        made.connect()
        with self._lock:
            self._all = {c for c in self._all if c.sock is not None} | {made}
        return made

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all = set()
