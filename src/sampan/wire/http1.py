"""HTTP/1.1 as one asyncio Protocol on llhttp (RFC 9112).

No task, no coroutine and no thread hop for a request: llhttp's callbacks collect it, `submit` gets
it whole, and the answer is one write. Requests of a connection are answered one after the other,
in order; what is pipelined waits, and beyond a depth reading pauses. llhttp is used strict:
ambiguous lengths, bare CR or LF and folded headers end the connection with 400.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import NoReturn

import httptools

from sampan.protocol.errors import error_body
from sampan.wire.admission import (
    Refused,
    body_too_large,
    head_too_large,
    too_many_headers,
    validate_head,
)
from sampan.wire.head import CONTINUE
from sampan.wire.host import Host
from sampan.wire.known_head import KnownHead, learn
from sampan.wire.message import HeaderList, Request, Response, Submit
from sampan.wire.pieces import Pieces, keep_piece
from sampan.wire.pump import Pump, discard

_FRAMING = (b"content-length", b"transfer-encoding")
_LAST_CHUNK = b"0\r\n\r\n"
_COPY_BYTES = 64 * 1024  # up to here one joined write is cheaper than two buffers
_LEARN_AT = frozenset(1 << power for power in range(1, 32))
"""Which of the requests that went through llhttp are learnt from. Not the first: it is the only one
of many connections. Rarer and rarer: a head that never comes again costs next to nothing."""


class Stage(IntEnum):
    """Where the reading side stands."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    DEAF = 3  # nothing more is read: refused, or `Connection: close`


_IDLE, _HEAD, _BODY, _DEAF = Stage  # looked up so often that an Enum's way is felt


class Http1(asyncio.Protocol):
    """One connection."""

    def __init__(self, host: Host, submit: Submit, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._limits = host.limits
        self._submit = submit
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        # reading
        self._parser = httptools.HttpRequestParser(self)
        self._stage = _IDLE
        self._since = host.now
        self._method = b""
        self._url = b""
        self._headers: HeaderList = []
        self._version = "1.1"
        self._pieces: Pieces = []
        self._size = 0  # bytes of the head so far, then of the body
        self._fed = 0  # bytes given to llhttp since the head began, for what it holds back
        self._arrived = 0  # bytes that came at once, of which llhttp has seen a part
        self._resumed: tuple[bytes, bytes, HeaderList] | None = None
        self._whole = b""  # what came at once with nothing before it, perhaps one whole request
        self._parsed = 0
        self._known: KnownHead | None = None
        self._refused: Refused | None = None
        # answering
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._budget = self._limits.pipelining
        self._taking = False
        self._expects = False
        self._pump: Pump | None = None  # while an answer is sent piece by piece
        self._when_gone: Callable[[], None] | None = None  # told if the current one's peer leaves
        # ending
        self._read_paused = False
        self._blocked_since = -1.0  # the peer does not read its answers
        self._eof = False
        self._deadline = 0.0  # non-zero: the last answer is written, and this is when to cut off

    # -- the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start, unless there are too many already."""
        self._transport = transport  # type: ignore[assignment]  # TCP and unix both are Transports
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer)  # type: ignore[union-attr]
        if not self._host.opened(self):
            text = f"more than {self._limits.connections} connections are open; try again later"
            self._refuse(Refused(503, text))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Forget everything: answers that come later go nowhere."""
        self._transport = None
        self._current = None
        if self._pump is not None:
            self._pump.cancel()
        self._waiting.clear()
        self._pieces = []
        self._host.closed(self)
        gone, self._when_gone = self._when_gone, None
        if gone is not None:
            gone()

    def pause_writing(self) -> None:
        """Take no further request while the peer does not read its answers."""
        self._blocked_since = self._host.now
        if self._pump is not None:
            self._pump.pause()
        self._regulate()

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked_since = -1.0
        if self._pump is not None:
            self._pump.resume()
        self._take()

    def eof_received(self) -> bool:
        """Half-closed: answer what has arrived whole, then close.

        In the middle of a streamed answer it means that the peer has left: it would otherwise be
        noticed at the next piece only, and a model may work minutes for one. The same holds for an
        answer that others are asked for (`when_gone`): they would work for nobody.
        """
        self._eof = True
        if self._pump is not None or self._when_gone is not None:
            return False
        return self._current is not None or bool(self._waiting)

    def data_received(self, data: bytes) -> None:
        """Take a request whose head is known; else feed llhttp, the callbacks below do the rest."""
        idle = self._stage is _IDLE
        if idle and self._known is not None and self._is_free():
            request = self._known.read(data)
            if request is not None:
                self._current = request
                self._hand_over(request)
                return
        if self._stage is _DEAF:
            return
        self._budget = self._limits.pipelining
        self._whole = data if idle else b""
        self._arrived = len(data)
        if self._stage is _HEAD:
            self._fed += self._arrived
        try:
            self._parser.feed_data(data)
            if self._stage is _HEAD and self._fed > self._limits.header_bytes:
                self._refuse(head_too_large(self._limits))
        except httptools.HttpParserUpgrade as upgrade:
            self._without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._parse_error(error)

    def _is_free(self) -> bool:
        """Whether a request that comes now is answered at once."""
        return self._current is None and not self._waiting and self._blocked_since < 0

    # -- llhttp's callbacks ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request: its first byte is here."""
        self._stage = _HEAD
        self._since = self._host.now
        self._url = b""
        self._headers = []
        self._size = 0
        self._fed = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url
        self._size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are read and dropped (RFC 9110, section 6.5.1)."""
        if self._stage is _HEAD:
            self._headers.append((name.lower(), value.strip(b" \t")))
            if len(self._headers) > self._limits.header_count:
                self._stop(too_many_headers(self._limits))

    def on_headers_complete(self) -> None:
        """Judge the head before any of the body is kept."""
        self._method = self._parser.get_method()
        self._version = self._parser.get_http_version()
        if self._resumed is not None:
            self._method, self._url, self._headers = self._resumed
            self._resumed = None
        if self._fed + self._arrived > self._limits.header_bytes:  # else it cannot be too large
            self._validate_size()
        try:
            self._expects = validate_head(self._version, self._headers, self._limits)
        except Refused as refused:
            self._stop(refused)
        self._stage = _BODY
        self._since = self._host.now
        self._size = 0
        if self._expects and not self._parser.should_upgrade():
            self._send_continue()

    def _validate_size(self) -> None:
        size = self._size + sum(len(name) + len(value) + 4 for name, value in self._headers)
        if size > self._limits.header_bytes:
            self._stop(head_too_large(self._limits))

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        self._size += len(piece)
        if self._size > self._limits.body_bytes:
            self._stop(body_too_large(self._limits))
        keep_piece(self._pieces, piece)

    def on_message_complete(self) -> None:
        """Queue the request; it is answered at once if it is the first."""
        if self._deadline or self._parser.should_upgrade():
            return
        body = b"".join(self._pieces)
        self._pieces = []
        keep_alive = self._version == "1.1" and self._parser.should_keep_alive()
        self._stage = _IDLE if keep_alive else _DEAF
        self._since = self._host.now
        self._expects = False
        request = Request(self._method, self._url, self._headers, body, keep_alive)
        self._parsed += 1
        if self._whole and self._parsed in _LEARN_AT:
            self._known = learn(self._whole, request, self._limits) or self._known
        if self._budget > 0 and self._is_free():
            self._budget -= 1  # nothing before it: the usual case, without the detour
            self._current = request
            self._hand_over(request)
        else:
            self._waiting.append(request)
            self._take()

    def _stop(self, refused: Refused) -> NoReturn:
        """Stop llhttp inside a callback: it reports an error of its own, so keep the reason."""
        self._refused = refused
        raise refused

    def _parse_error(self, error: httptools.HttpParserError) -> None:
        if self._stage is _DEAF:
            return  # bytes after `Connection: close` are ignored
        self._refuse(self._refused or Refused(400, f"invalid HTTP request: {error}"))

    def _without_upgrade(self, rest: bytes) -> None:
        """Stay with HTTP/1.1 where the peer offers another protocol (RFC 9110, section 7.8).

        llhttp stops before the body of such a request; a fresh parser is told only its framing.
        """
        if self._method == b"CONNECT":
            self._refuse(Refused(405, "CONNECT is not served; this server is no proxy"))
            return
        self._resumed = (self._method, self._url, self._headers)
        self._parser = httptools.HttpRequestParser(self)
        framing = [name + b": " + value for name, value in self._headers if name in _FRAMING]
        head = b"\r\n".join((b"POST / HTTP/1.1", *framing, b"", b""))
        self.data_received(head + rest)

    # -- answering ---------------------------------------------------------------------------

    def _take(self) -> None:
        """Start the next request when the last is answered and the peer reads."""
        if self._taking:
            return
        self._taking = True
        while self._waiting and self._current is None and self._blocked_since < 0:
            if self._budget <= 0:
                self._loop.call_soon(self._take_turn)  # other connections come first
                break
            self._budget -= 1
            self._current = request = self._waiting.popleft()
            self._hand_over(request)
        self._taking = False
        if self._current is None and not self._waiting:
            if self._expects:
                self._send_continue()
            if self._refused is not None:
                self._send_refusal()
        if self._waiting or self._read_paused or self._blocked_since >= 0:
            self._regulate()

    def _take_turn(self) -> None:
        self._budget = self._limits.pipelining
        self._take()

    def _hand_over(self, request: Request) -> None:
        try:
            self._submit(request, _Answer(self, request))
        except Exception as error:  # noqa: BLE001  # the peer gets an answer whatever broke
            self._loop.call_exception_handler(
                {"message": "the application broke on a request", "exception": error}
            )
            self._reply(request, Response(500, error_body("Internal server error")))

    def has_left(self, request: Request) -> bool:
        """Whether nobody waits for a request's answer: the peer is away, or sends no more.

        The latter may be a peer that only half-closed, so it counts for what has not begun and
        waits behind others; what is answered at once is answered to it as well.
        """
        return self._transport is None or self._eof or request is not self._current

    def watch(self, request: Request, gone: Callable[[], None]) -> None:
        """Have `gone` called if the peer leaves before this request is answered."""
        if request is self._current and self._pump is None:
            self._when_gone = gone

    def _reply(self, request: Request, response: Response) -> None:
        transport = self._transport
        if request is not self._current or transport is None or self._pump is not None:
            discard(response)
            return
        self._when_gone = None
        last = not self._waiting and (self._eof or (self._host.draining and self._between()))
        close = last or not request.keep_alive
        if response.chunks is not None:
            if request.method != b"HEAD":
                self._stream(transport, response, close=close)
                return
            discard(response)
        self._write(transport, response, close=close, bodiless=request.method == b"HEAD")
        self._current = None
        self._since = self._host.now
        if close:
            self._end(self._limits.write_seconds)
            transport.close()
        elif self._waiting or self._stage is not _IDLE or self._read_paused:
            self._take()

    def _write(
        self, transport: asyncio.Transport, response: Response, *, close: bool, bodiless: bool
    ) -> None:
        """Send a response that is there whole."""
        render, body = self._host.head, response.body
        if len(body) > _COPY_BYTES and not bodiless:
            transport.writelines((render.render(response, close=close), body))
            return
        usual = None if close or bodiless else render.render_usual(response)
        if usual is None:
            usual = render.render(response, close=close) + (b"" if bodiless else body)
        transport.write(usual)

    def _stream(self, transport: asyncio.Transport, response: Response, *, close: bool) -> None:
        """Send the head, and the pieces as they come (RFC 9112, section 7.1)."""
        plain = self._version == "1.0" and close  # then this is the last request that was read
        transport.write(self._host.head.render(response, close=close, close_ends=plain))

        def write(piece: bytes) -> None:
            transport.write(piece if plain else b"%x\r\n%b\r\n" % (len(piece), piece))

        def done(failure: Exception | None) -> None:
            self._streamed(transport, failure, close=close, end=b"" if plain else _LAST_CHUNK)

        self._pump = Pump(response, write, done)
        if self._blocked_since >= 0:
            self._pump.pause()

    def _streamed(
        self, transport: asyncio.Transport, failure: Exception | None, *, close: bool, end: bytes
    ) -> None:
        """End the body. One that broke off must not look complete, so the connection is cut."""
        self._pump = self._current = None
        self._since = self._host.now
        if failure is not None:
            self._loop.call_exception_handler(
                {"message": "a streamed answer broke off", "exception": failure}
            )
            transport.abort()
            return
        transport.write(end)
        if close or self._eof or (self._host.draining and not self._waiting):
            self._end(self._limits.write_seconds)
            transport.close()
        else:
            self._take()

    def _between(self) -> bool:
        return self._refused is None and self._stage in {_IDLE, _DEAF}

    def _end(self, seconds: float) -> None:
        self._stage = _DEAF
        self._waiting.clear()
        self._deadline = self._host.now + seconds

    def _send_continue(self) -> None:
        if not self._expects or self._current is not None or self._waiting:
            return
        self._expects = False
        if self._transport is not None:
            self._transport.write(CONTINUE)

    def _refuse(self, refused: Refused) -> None:
        """Answer with this after what is in flight, then close; read nothing more."""
        self._stage = _DEAF
        self._refused = refused
        self._expects = False
        self._pieces = []
        self._send_refusal()

    def _send_refusal(self) -> None:
        """Answer, half-close, discard for a while: closing at once would reset the answer away."""
        transport, refused = self._transport, self._refused
        if transport is None or refused is None or self._deadline:
            return
        if self._stage is not _DEAF or self._current is not None or self._waiting:
            return
        self._end(self._limits.linger_seconds)
        transport.write(
            self._host.head.render(refused.response, close=True) + refused.response.body
        )
        if self._eof:
            transport.close()
        else:
            transport.write_eof()

    def _regulate(self) -> None:
        """Pause reading while enough waits; resume when it has been answered."""
        transport = self._transport
        if transport is None:
            return
        full = len(self._waiting) >= self._limits.pipelining or self._blocked_since >= 0
        if full and not self._read_paused:
            transport.pause_reading()
        elif self._read_paused and not full:
            transport.resume_reading()
        self._read_paused = full

    # -- time --------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Enforce the time limits; called by the listener every `sweep_seconds`."""
        limits, transport = self._limits, self._transport
        if transport is None:
            return
        waited = now - self._since
        if self._deadline:
            if now > self._deadline:
                transport.abort()
        elif self._blocked_since >= 0:
            if now - self._blocked_since > limits.write_seconds:
                transport.abort()
        elif self._current is not None or self._waiting:
            return  # the model works: its time is not the peer's fault
        elif self._stage is _IDLE:
            if waited > limits.idle_seconds:
                transport.close()
        elif self._stage is _HEAD:
            if waited > limits.header_seconds:
                self._refuse(_late("headers", limits.header_seconds))
        elif waited > limits.body_seconds + self._size / limits.body_rate:
            self._refuse(_late("body", limits.body_seconds))

    def drain(self) -> None:
        """Close if nothing is going on; else the next answer is the last."""
        idle = self._current is None and not self._waiting and self._between()
        if idle and self._transport is not None and not self._deadline:
            self._end(self._limits.write_seconds)
            self._transport.close()

    def abort(self) -> None:
        """Cut off."""
        if self._transport is not None:
            self._transport.abort()


class _Answer:
    """The `Reply` of one request, which also tells whether its peer has left."""

    __slots__ = ("_connection", "_request")

    def __init__(self, connection: Http1, request: Request) -> None:
        self._connection = connection
        self._request = request

    def __call__(self, response: Response) -> None:
        self._connection._reply(self._request, response)  # noqa: SLF001  # a part of the connection

    def gone(self) -> bool:
        return self._connection.has_left(self._request)

    def when_gone(self, callback: Callable[[], None]) -> None:
        self._connection.watch(self._request, callback)


def _late(part: str, seconds: float) -> Refused:
    return Refused(408, f"request {part} did not arrive within {seconds:g} seconds; send faster")
