"""One HTTP/1.1 connection: h11 reads and frames the bytes, this file moves them.

Requests are answered one after the other. While an answer streams (a watch, a followed log) the
connection is read too, so that a client that went away ends its stream at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import h11

from sampan.apiserver.messages import Reply, Request, make_error
from sampan.apiserver.too_large import RequestTooLarge
from sampan.machinery.errors import ApiError, BadRequest

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Request], Awaitable[Reply]]

READ_SIZE = 64 * 1024
MAX_HEAD = 64 * 1024  # label selectors of kubectl can be long; Go's own limit is 1 MiB
MAX_BODY = 3 * 1024 * 1024  # what kube-apiserver takes (its MaxRequestBodyBytes)
REQUEST_SECONDS = 30.0  # from the first byte of a request to its last
WRITE_SECONDS = 60.0  # a client that takes nothing for so long is gone
IDLE_SECONDS = 120.0  # between requests; kubectl and client-go keep connections for 90 s
PIECES_AT_ONCE = 16  # of a stream before others have their turn: about a millisecond of one's own


@dataclass(slots=True)
class Connection:
    """A client's connection, served until either side ends it or `closing` is set."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    handler: Handler
    closing: asyncio.Event
    _http: h11.Connection = None  # type: ignore[assignment]  # made below, before any use

    def __post_init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    async def run(self) -> None:
        """Answer requests until the connection ends; never raises for what a client does."""
        try:
            while not self.closing.is_set() and await self._serve_one():
                self._http.start_next_cycle()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client went away or stalled: there is nobody to tell
        except Exception:
            log.exception("a mistake of the server; the connection ends")
        finally:
            self.writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await self.writer.wait_closed()

    async def _serve_one(self) -> bool:
        """Answer one request; returns whether another may follow."""
        try:
            request = await self._read_request()
        except h11.RemoteProtocolError as error:
            await self._refuse(BadRequest(f"not an HTTP/1.1 request: {error}"))
            return False
        except RequestTooLarge as error:
            await self._refuse(error)
            return False
        if request is None:
            return False
        await self._answer(await self.handler(request), bodiless=request.method == "HEAD")
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _read_request(self) -> Request | None:
        first = await self._next_event_or_close()
        if not isinstance(first, h11.Request):
            return None
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in first.headers}
        async with asyncio.timeout(REQUEST_SECONDS):
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            body = await self._read_body(headers.get("content-length", "0"))
        path, _, query = first.target.decode("latin-1").partition("?")
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        return Request(first.method.decode(), path, pairs, headers, body)

    async def _read_body(self, length: str) -> bytes:
        received = bytearray()
        too_large = RequestTooLarge(
            f"the request body is over the limit of {MAX_BODY} bytes; split the object"
        )
        if int(length) > MAX_BODY:
            raise too_large
        while isinstance(event := await self._next_event(), h11.Data):
            received += event.data
            if len(received) > MAX_BODY:
                raise too_large
        return bytes(received)

    async def _next_event_or_close(self) -> h11.Event | None:
        """Return the first event of the next request, or None when told to close."""
        reading = asyncio.ensure_future(self._next_event())
        stopping = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait(
                {reading, stopping}, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            return reading.result() if reading.done() else None
        finally:
            await _cancel(reading, stopping)

    async def _next_event(self) -> h11.Event | None:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event if isinstance(event, h11.Event) else None
            self._http.receive_data(await self.reader.read(READ_SIZE))

    async def _answer(self, reply: Reply, *, bodiless: bool = False) -> None:
        headers = _headers(reply)
        if reply.stream is None:
            headers.append(("Content-Length", str(len(reply.body))))
        if self.closing.is_set():
            headers.append(("Connection", "close"))
        reason = HTTPStatus(reply.code).phrase
        head = h11.Response(status_code=reply.code, headers=headers, reason=reason)
        if reply.stream is None:
            data = b"" if bodiless or reply.code == HTTPStatus.NOT_MODIFIED else reply.body
            await self._send(head, h11.Data(data=data), h11.EndOfMessage())
        else:
            await self._send(head)
            await self._stream(reply.stream, chunked=not bodiless and self._is_chunked())

    def _is_chunked(self) -> bool:
        """Tell whether a body without a length goes in chunks (RFC 9112, 7.1), as h11 decides."""
        return (self._http.their_http_version or b"") >= b"1.1"

    async def _stream(self, pieces: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send pieces until they end or the client goes; the iterator is always closed."""
        sending = asyncio.ensure_future(self._send_pieces(pieces, chunked=chunked))
        leaving = asyncio.ensure_future(self.reader.read(READ_SIZE))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            await _cancel(sending, leaving)
        if self._http.our_state is not h11.DONE:
            raise ConnectionResetError("the client ended the stream")

    async def _send_pieces(self, pieces: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send pieces, each as one chunk: h11 would take as long for it as the kernel does."""
        sent = 0
        async with contextlib.aclosing(pieces) as stream:  # type: ignore[type-var]  # generators
            async for piece in stream:
                if not chunked:
                    await self._send(h11.Data(data=piece))
                elif piece:
                    self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await self._drain()
                sent += 1
                if sent % PIECES_AT_ONCE == 0:
                    await asyncio.sleep(0)  # a long run must not keep the others waiting
        await self._send(h11.EndOfMessage())

    async def _refuse(self, error: ApiError) -> None:
        """Answer what cannot be served further, then let the connection close."""
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            with contextlib.suppress(h11.LocalProtocolError):
                await self._answer(make_error(error))

    async def _send(self, *events: h11.Event) -> None:
        self.writer.write(b"".join(self._http.send(e) or b"" for e in events))
        await self._drain()

    async def _drain(self) -> None:
        """Wait while the client takes nothing more; raise where it is gone, or takes too long."""
        if self.writer.transport.is_closing() or self.writer.transport.get_write_buffer_size():
            async with asyncio.timeout(WRITE_SECONDS):
                await self.writer.drain()


def _headers(reply: Reply) -> list[tuple[str, str]]:
    # Nothing here is for a shared cache, and no browser should guess a type or frame a page.
    return [
        ("Content-Type", reply.media_type),
        ("Date", formatdate(usegmt=True)),
        ("Cache-Control", "no-cache, private"),
        ("X-Content-Type-Options", "nosniff"),
        *reply.headers,
    ]


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
