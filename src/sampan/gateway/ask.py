"""One HTTP/1.1 request without a body over a Unix socket or a port: all that the gateway ever asks.

A client library would cost more at import than Envoy's start takes.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httptools

_CHUNK = 256 * 1024
LARGEST_BYTES = 256 << 20
"""More than Envoy tells of ten thousand clusters; an answer that never ends is cut here."""
_FRAMED = frozenset({"content-length", "transfer-encoding"})
"""An answer with one of these says itself where it ends; others end with their connection."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to ask: a Unix socket, or a host and port; by TLS where `tls` names the server."""

    socket: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    tls: str = ""


@dataclass(slots=True)
class Answer:
    """A complete HTTP answer, filled by the parser's callbacks. Header names are lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Note the end."""
        self.complete = True


async def ask(
    address: Address,
    path: str,
    host: str,
    timeout: float,  # noqa: ASYNC109 (the whole exchange is one step here)
    method: str = "GET",
) -> Answer:
    """Return the answer to `GET path` with that Host; raise OSError or TimeoutError."""
    async with asyncio.timeout(timeout):
        return await _exchange(address, f"{method} {path}", host)


async def _exchange(address: Address, line: str, host: str) -> Answer:
    if address.socket is not None:
        reader, writer = await asyncio.open_unix_connection(address.socket)
    else:
        tls = address.tls or None
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=True if tls else None, server_hostname=tls
        )
    try:
        request = f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("latin-1"))
        return await _read_answer(reader)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    answer = Answer()
    parser = httptools.HttpResponseParser(answer)
    while not answer.complete:
        piece = await reader.read(_CHUNK)
        if not piece:
            break
        if len(answer.body) > LARGEST_BYTES:
            raise ConnectionError(f"the answer is longer than {LARGEST_BYTES} bytes")
        try:
            parser.feed_data(piece)
        except httptools.HttpParserError as error:
            raise ConnectionError(f"the answer is not HTTP: {error}") from error
    if not answer.complete and (not answer.headers or not _FRAMED.isdisjoint(answer.headers)):
        where = "in the middle of" if answer.headers else "before"
        raise ConnectionResetError(f"the connection ended {where} an answer")
    answer.status = parser.get_status_code()
    return answer
