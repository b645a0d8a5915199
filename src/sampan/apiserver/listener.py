"""Accepting connections on one loopback port, plain or TLS by the first byte.

kubectl sends a kubeconfig's token over TLS only, while the command line saves the handshake; one
port serves both. A TLS connection starts with the record type 0x16, which no HTTP method does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

from sampan.apiserver.connection import Connection, Handler

log = logging.getLogger(__name__)

TLS_HANDSHAKE = b"\x16"
FIRST_BYTE_SECONDS = 30.0
ACCEPT_PAUSE_SECONDS = 0.5  # when the process is out of file descriptors
MAX_CONNECTIONS = 500  # well below the 1024 file descriptors that a process often has


@dataclass(slots=True)
class Listener:
    """Serves a handler on a bound, listening socket until `stop`. `tls` None: plain HTTP only."""

    handler: Handler
    tls: ssl.SSLContext | None = None
    drain_seconds: float = 5.0
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _silent: set[asyncio.Task[Any] | None] = field(default_factory=set)
    """Those that have not sent a byte: there is no request to wait for."""

    async def serve(self, sock: socket.socket) -> None:
        """Accept until stopped, then let requests in flight end within `drain_seconds`."""
        sock.setblocking(False)
        accepting = asyncio.ensure_future(self._accept(sock))
        try:
            await self._closing.wait()
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            sock.close()
            await self._drain()

    def stop(self) -> None:
        """Ask `serve` to end. Idle connections close at once."""
        self._closing.set()

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(sock)
            except OSError as error:
                log.warning("no connection could be accepted: %s; trying again", error)
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            if len(self._open) >= MAX_CONNECTIONS:
                client.close()
                continue
            task = asyncio.ensure_future(self._serve_client(client))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _serve_client(self, client: socket.socket) -> None:
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = await self._context_of(client)
            reader, writer = await _open_streams(client, context)
        except (OSError, TimeoutError):  # gone, silent, or not a TLS client of ours
            client.close()
            return
        except asyncio.CancelledError:
            client.close()
            raise
        await Connection(reader, writer, self.handler, self._closing).run()

    async def _context_of(self, client: socket.socket) -> ssl.SSLContext | None:
        if self.tls is None:
            return None
        task = asyncio.current_task()
        self._silent.add(task)
        try:
            async with asyncio.timeout(FIRST_BYTE_SECONDS):
                await _readable(client)
        finally:
            self._silent.discard(task)
        return self.tls if client.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE else None

    async def _drain(self) -> None:
        for task in filter(None, self._silent):
            task.cancel()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=self.drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _readable(sock: socket.socket) -> None:
    """Wait until the socket has something to read (or its peer is gone)."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _open_streams(
    client: socket.socket, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, client, ssl=context)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def bind_loopback(port: int) -> socket.socket:
    """Return a socket listening on 127.0.0.1; port 0 takes a free one. Raise OSError if taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen(256)
    except OSError:
        with contextlib.suppress(OSError):
            sock.close()
        raise
    return sock
