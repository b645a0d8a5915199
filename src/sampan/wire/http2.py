"""HTTP/2 as one asyncio Protocol: the shell around `http2_connection` (RFC 9113).

A request is handed to `submit` when its body is whole, exactly as HTTP/1.1 does it, and every
answer that one read made goes out in one write. gRPC calls go to `Calls` instead; those that
stream get a channel of their own.
"""

from __future__ import annotations

import asyncio

from sampan.protocol.errors import error_body
from sampan.wire.calls import Calls
from sampan.wire.host import Host
from sampan.wire.http2_answer import CONTINUE, encode_answer
from sampan.wire.http2_connection import Connection
from sampan.wire.http2_events import Drained, Ended, Event, Opened, Received, Reset, Stream
from sampan.wire.http2_exchange import Exchange, StreamChannel
from sampan.wire.http2_frames import FRAME_BYTES, Code
from sampan.wire.message import Response, Submit
from sampan.wire.pieces import keep_piece
from sampan.wire.pump import Pump, discard


class Http2(asyncio.Protocol):
    """One connection."""

    def __init__(
        self, host: Host, submit: Submit, calls: Calls | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._host = host
        self._limits = host.limits
        self._submit = submit
        self._calls = calls
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._connection = Connection(host.limits)
        self._scheduled = False  # a write is due when the loop turns
        self._busy = False  # in `data_received`, which writes once at its end
        self._eof = False  # the peer sends no more
        self._buffered = 0  # bytes of bodies that are not whole
        self._since = host.now  # when the last request came or the last answer went
        self._forgiven = host.now
        self._blocked_since = -1.0  # the peer does not read
        self._unfinished_since = -1.0  # since when a preface or a header block is incomplete
        self._draining_since = -1.0
        self._deadline = 0.0  # non-zero: all is said, and this is when to cut off

    # -- the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start; the listener has counted the connection already."""
        self._transport = transport  # type: ignore[assignment]  # TCP and unix both are Transports
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer)  # type: ignore[union-attr]
        self._host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Forget everything: answers that come later go nowhere."""
        self._transport = None
        for stream in tuple(self._connection.streams.values()):
            stream.local_closed = True
            self._gone(stream)
        self._connection.streams.clear()
        self._host.closed(self)

    def pause_writing(self) -> None:
        """Keep DATA back; control frames go on, and are counted."""
        self._blocked_since = self._host.now
        self._connection.outbound.hold(held=True)

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked_since = -1.0
        self._handle(self._connection.outbound.hold(held=False))
        self._flush()

    def eof_received(self) -> bool:
        """Half-closed: a client that sends no more may still read its answers.

        What it has not sent to the end never will be: that is given up.
        """
        for stream in tuple(self._connection.streams.values()):
            if not stream.remote_closed:
                self._connection.reset(stream, Code.CANCEL)
                self._gone(stream)
            elif isinstance(stream.owner, Exchange):
                stream.owner.left = True
        self._eof = True
        self._flush()
        return bool(self._connection.streams) and not self._deadline  # else `_flush` has closed

    def data_received(self, data: bytes) -> None:
        """Take bytes, answer, write once."""
        if self._deadline:
            return
        self._busy = True
        self._handle(self._connection.receive(data))
        self._busy = False
        self._flush()

    def _handle(self, events: list[Event] | list[Drained]) -> None:
        for event in events:
            if isinstance(event, Opened):
                self._opened(event)
            elif isinstance(event, Received):
                self._received(event)
            elif isinstance(event, Reset):
                self._gone(event.stream)
            elif isinstance(event, Drained):
                if event.stream.owner is not None:
                    event.stream.owner.drained()
            elif isinstance(event, Ended):
                self._end()
            else:
                self._refuse_new()

    def _give_up_stuck(self) -> None:
        """Give up what waits for a window of a peer that sends no more: it will never open one."""
        for stream in self._connection.outbound.stuck():
            self._connection.reset(stream, Code.CANCEL)
            self._gone(stream)

    def _flush(self) -> None:
        if self._eof:
            self._give_up_stuck()
        data = self._connection.outbound.take()
        transport = self._transport
        if transport is None:
            return
        if data:
            transport.write(data)
        if self._deadline:
            return
        draining = self._draining_since >= 0 and self._connection.refusing
        if (draining or self._eof) and not self._connection.streams:
            self._deadline = self._host.now + self._limits.write_seconds
            transport.close()

    # -- requests ----------------------------------------------------------------------------

    def _opened(self, event: Opened) -> None:
        stream, head, ended = event
        self._since = self._host.now
        calls = self._calls
        grpc = head.grpc and calls is not None
        if grpc and calls and head.target in calls.streaming and self._open_call(calls, event):
            return
        exchange = stream.owner = Exchange(stream, head, grpc, self._host.now, self._reply)
        if ended:
            self._complete(exchange, b"")
        elif head.length > self._most(exchange):
            self._refuse_large(exchange, head.length)
        elif head.expects:
            self._connection.outbound.start(stream, CONTINUE)

    def _open_call(self, calls: Calls, event: Opened) -> bool:
        stream, head, ended = event
        channel = StreamChannel(stream, self._connection, self._flush_later, self._host.now)
        handler = calls.open(head.request(b""), channel)
        if handler is None:
            return False
        channel.handler = handler
        stream.owner = channel
        if ended:
            handler.ended()
        return True

    def _received(self, event: Received) -> None:
        stream, data, size, ended = event
        owner = stream.owner
        if isinstance(owner, StreamChannel):
            self._connection.inbound.credit(stream, size - len(data))  # padding
            if data:
                owner.handler.received(data)
            if ended and not stream.local_closed:
                owner.handler.ended()
            return
        if size:
            self._connection.inbound.credit(stream, size)
        if owner.answered:
            return
        if ended and not owner.size and size <= FRAME_BYTES <= self._most(owner):
            self._complete(owner, data)  # all of it in one frame: the usual case
            return
        if data:
            keep_piece(owner.pieces, data)
            owner.size += len(data)
            self._buffered += len(data)
        if owner.size > self._most(owner):
            self._refuse_large(owner, owner.size)
        elif self._buffered > self._limits.connection_bytes:
            self._refuse(
                owner,
                503,
                f"more than {self._limits.connection_bytes} bytes of unfinished requests on one "
                "connection; send fewer at once",
            )
        elif ended:
            self._buffered -= owner.size
            owner.size = 0
            self._complete(owner, owner.body())

    def _complete(self, exchange: Exchange, body: bytes) -> None:
        head = exchange.head
        request = head.request(body)
        try:
            if exchange.grpc and self._calls is not None:
                exchange.cancel = self._calls.submit(request, exchange)
            elif head.method == b"CONNECT":
                text = "CONNECT is not served; this server is no proxy"
                exchange(Response(405, error_body(text)))
            else:
                self._submit(request, exchange)
        except Exception as error:  # noqa: BLE001  # the peer gets an answer whatever broke
            self._loop.call_exception_handler(
                {"message": "the application broke on a request", "exception": error}
            )
            exchange(self._refusal(exchange, 500, "Internal server error"))

    def _most(self, exchange: Exchange) -> int:
        limits = self._limits
        return limits.message_bytes + 5 if exchange.grpc else limits.body_bytes

    def _refuse_large(self, exchange: Exchange, size: int) -> None:
        most = self._most(exchange)
        if exchange.grpc:
            text = f"received message larger than max ({size} vs. {most - 5})"
        else:
            text = (
                f"request body is larger than {most} bytes; send less in one request "
                "or raise --max_body_bytes"
            )
        self._refuse(exchange, 413, text)

    def _refuse(self, exchange: Exchange, status: int, text: str) -> None:
        exchange.pieces.clear()
        self._buffered -= exchange.size
        exchange.size = 0
        self._reply(exchange, self._refusal(exchange, status, text))

    def _refusal(self, exchange: Exchange, status: int, text: str) -> Response:
        if exchange.grpc and self._calls is not None:
            return self._calls.refuse(status, text)
        return Response(status, error_body(text))

    def _gone(self, stream: Stream) -> None:
        """Tell who works on a stream that nobody waits for it."""
        owner, stream.owner = stream.owner, None
        if isinstance(owner, StreamChannel):
            owner.handler.cancelled()
        elif isinstance(owner, Exchange):
            self._buffered -= owner.size
            owner.abandon()

    # -- answers -----------------------------------------------------------------------------

    def _reply(self, exchange: Exchange, response: Response) -> None:
        if exchange.answered or self._transport is None:
            discard(response)
            return
        head, trailers = encode_answer(response, exchange.grpc, self._host.head.date)
        exchange.answered = True
        exchange.cancel = None
        self._since = self._host.now
        if response.chunks is not None and exchange.head.method != b"HEAD":
            self._stream(exchange, head, response)
            return
        discard(response)
        body = b"" if exchange.head.method == b"HEAD" else response.body
        self._connection.outbound.respond(exchange.stream, head, body, trailers)
        self._flush_later()

    def _stream(self, exchange: Exchange, head: bytes, response: Response) -> None:
        """Send the head, and the pieces as they come; one that breaks off is reset."""
        connection, stream = self._connection, exchange.stream
        connection.outbound.start(stream, head)

        def write(piece: bytes) -> None:
            if not connection.outbound.send(stream, piece):
                pump.pause()
            self._flush_later()

        def done(failure: Exception | None) -> None:
            exchange.pump = None
            if failure is None:
                connection.outbound.end(stream)
            else:
                self._loop.call_exception_handler(
                    {"message": "a streamed answer broke off", "exception": failure}
                )
                connection.reset(stream, Code.INTERNAL_ERROR)
            self._flush_later()

        exchange.pump = pump = Pump(response, write, done)
        self._flush_later()

    def _flush_later(self) -> None:
        """Write soon: at the end of the read that is being handled, or when the loop turns.

        A batch of predictions answers many streams in a row; they go out in one write.
        """
        if not self._busy and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush_scheduled)

    def _flush_scheduled(self) -> None:
        self._scheduled = False
        self._flush()

    # -- time and end ------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Enforce the time limits; called by the listener every `sweep_seconds`."""
        limits, transport, connection = self._limits, self._transport, self._connection
        if transport is None:
            return
        if now - self._forgiven >= 1.0:
            self._forgiven = now
            connection.forgive()
        if self._deadline:
            if now > self._deadline:
                transport.abort()
            return
        if self._blocked_since >= 0 and now - self._blocked_since > limits.write_seconds:
            transport.abort()
        elif connection.unfinished:
            self._sweep_unfinished(now)
        else:
            self._unfinished_since = -1.0
            for stream in tuple(connection.streams.values()):
                self._sweep_stream(stream, now)
            if self._draining_since >= 0 and now - self._draining_since > limits.sweep_seconds:
                self._refuse_new()
            elif not connection.streams and now - self._since > limits.http2_idle_seconds:
                connection.finish(Code.NO_ERROR, "idle")
                self._end()
        self._flush()

    def _sweep_unfinished(self, now: float) -> None:
        """Cut off who began a preface or a header block and does not end it."""
        if self._unfinished_since < 0:
            self._unfinished_since = now
        elif now - self._unfinished_since > self._limits.header_seconds:
            self._connection.finish(Code.ENHANCE_YOUR_CALM, "request headers did not arrive")
            self._end()

    def _sweep_stream(self, stream: Stream, now: float) -> None:
        limits, owner = self._limits, stream.owner
        if stream.pending:
            if owner.progress.stalled(now) > limits.write_seconds:
                self._connection.reset(stream, Code.CANCEL)
                self._gone(stream)
        elif isinstance(owner, Exchange) and not stream.remote_closed and not owner.answered:
            late = now - owner.since > limits.body_seconds + owner.size / limits.body_rate
            if late:
                self._refuse(
                    owner,
                    408,
                    f"request body did not arrive within {limits.body_seconds:g} seconds; "
                    "send faster",
                )

    def _end(self) -> None:
        """Say what is left, half-close, discard for a while: closing would reset it away."""
        transport = self._transport
        for stream in tuple(self._connection.streams.values()):
            stream.local_closed = True
            self._gone(stream)
        self._connection.streams.clear()
        if transport is None or self._deadline:
            return
        self._flush()
        self._deadline = self._host.now + self._limits.linger_seconds
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def drain(self) -> None:
        """Finish what is going on, take nothing new, close."""
        if self._transport is None or self._deadline or self._draining_since >= 0:
            return
        self._draining_since = self._host.now
        self._connection.warn()
        for stream in tuple(self._connection.streams.values()):
            if isinstance(stream.owner, StreamChannel):
                stream.owner.handler.drain()
        self._flush()

    def _refuse_new(self) -> None:
        if self._draining_since >= 0 and not self._connection.refusing:
            self._connection.refuse()

    def abort(self) -> None:
        """Cut off."""
        if self._transport is not None:
            self._transport.abort()
