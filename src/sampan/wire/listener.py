"""A listening socket and its connections: accept, sweep for deadlines, drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time

from sampan.wire.calls import Calls
from sampan.wire.head import Head
from sampan.wire.host import Wire
from sampan.wire.limits import Limits
from sampan.wire.message import Submit
from sampan.wire.opening import Opening

BACKLOG = 1024  # connections that the kernel holds while the loop is busy


class Listener:
    """Serves HTTP/1.1 and HTTP/2 on one address, and with `calls` gRPC. Made and used on its
    loop's thread."""

    def __init__(
        self, submit: Submit, limits: Limits | None = None, calls: Calls | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.head = Head()
        self.now = 0.0
        self.draining = False
        self._submit = submit
        self._calls = calls
        self._connections: set[Wire] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    async def listen(self, host: str, port: int, *, shared: bool = False) -> None:
        """Bind and accept. `shared` lets several processes listen on one port (SO_REUSEPORT).

        Raise OSError where the address is taken or not this machine's.
        """
        loop = asyncio.get_running_loop()
        self._sweep(loop)
        self._server = await loop.create_server(
            lambda: Opening(self, self._submit, self._calls, loop),
            host,
            port,
            backlog=BACKLOG,
            reuse_port=shared or None,
        )

    async def listen_on(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept on a socket that is bound already, which other processes may share."""
        loop = asyncio.get_running_loop()
        self._sweep(loop)
        unix = sock.family == socket.AF_UNIX
        create = loop.create_unix_server if unix else loop.create_server
        self._server = await create(
            lambda: Opening(self, self._submit, self._calls, loop),
            sock=sock,
            ssl=tls,
            backlog=BACKLOG,
        )

    @property
    def address(self) -> tuple[str, int]:
        """The bound address, with the port that the kernel chose where 0 was asked for."""
        if self._server is None:
            raise RuntimeError("the listener is not listening; call listen() first")
        sock: socket.socket = self._server.sockets[0]
        name = sock.getsockname()
        return name[0], name[1]

    def opened(self, connection: Wire) -> bool:
        """Register a connection; False: there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections

    def closed(self, connection: Wire) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def drain(self, grace_seconds: float) -> int:
        """Accept no more, finish what is in flight, close; return how many were cut off."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.drain()
        self._empty.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_seconds)
        return self._cut_off()

    def _cut_off(self) -> int:
        left = tuple(self._connections)
        for connection in left:
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        return len(left)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Renew clock and date, and look at every connection's deadline."""
        self.now = loop.time()
        self.head.tick(time.time())
        for connection in tuple(self._connections):
            connection.sweep(self.now)
        self._sweeper = loop.call_later(self.limits.sweep_seconds, self._sweep, loop)
