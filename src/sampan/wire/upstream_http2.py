"""Calling a server by HTTP/2: many calls on one connection (RFC 9113), for gRPC.

The client's side: frames in, answers out as callbacks. Sending, with its flow control, is that of
the server's side (`Outbound`). What the peer breaks ends the connection, and every call on it
fails; nothing is sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from sampan.wire.http2_events import Drained, Stream
from sampan.wire.http2_frames import (
    ACK,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES,
    HEAD,
    HEAD_BYTES,
    MAX_WINDOW,
    PADDED,
    PREFACE,
    PRIORITISED,
    Code,
    ConnectionFault,
    Kind,
    Setting,
    frame,
    goaway,
    read_settings,
    reset,
    settings,
    window_update,
)
from sampan.wire.http2_outbound import Outbound
from sampan.wire.upstream_answer import CallDone, CallFailed, UpstreamLimits
from sampan.wire.upstream_http2_call import StreamCall
from sampan.wire.upstream_http2_head import BlockReader

_DATA, _HEADERS, _CONTINUATION = int(Kind.DATA), int(Kind.HEADERS), int(Kind.CONTINUATION)
_WINDOW = 1024 * 1024  # of a stream: a message of a megabyte comes without waiting for us
_CONNECTION_WINDOW = 16 * _WINDOW
_MOST_STREAMS = 100  # until the peer says: what RFC 9113 (section 6.5.2) asks it to allow
_OK = 200
_LAST_STREAM = MAX_WINDOW - 1


class Owner(Protocol):
    """Who keeps the connection."""

    def changed(self, connection: Http2Upstream) -> None:
        """Know that a call has ended, or the connection has."""


class Http2Upstream(asyncio.Protocol):
    """A connection. `name` is the server's, for messages."""

    def __init__(
        self, owner: Owner, name: str, limits: UpstreamLimits, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._owner = owner
        self._name = name
        self._limits = limits
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._outbound = Outbound(_ended)
        self._blocks = BlockReader(limits.header_bytes)
        self._calls: dict[int, StreamCall] = {}
        self._next = 1
        self._rest = b""
        self._block = (0, False, list[bytes]())  # stream, whether it ends there, pieces
        self._unread = 0  # of the connection's window
        self._most = _MOST_STREAMS
        self._busy = False  # in `data_received`, which writes once at its end
        self._scheduled = False  # a write is due when the loop turns
        self._leaving = False  # the peer takes no new calls

    @property
    def has_room(self) -> bool:
        """Whether one more call may be sent."""
        closing = self._transport is None or self._transport.is_closing()
        full = len(self._calls) >= self._most or self._next >= _LAST_STREAM
        return not (closing or self._leaving or full)

    @property
    def is_over(self) -> bool:
        """Whether no call is sent on it any more."""
        return self._transport is None or self._leaving or self._next >= _LAST_STREAM

    def send(
        self, head: bytes, body: bytes, done: CallDone, *, streams: bool = False
    ) -> Callable[[], None]:
        """Send a request (`head` is its header block); what is returned calls it off."""
        number = self._next
        self._next += 2
        call = self._calls[number] = StreamCall(done, streams)
        if not self._outbound.ask(number, head, body):
            call.stream = Stream(number, self._outbound.peer_window, _WINDOW, -1)
            self._outbound.respond(call.stream, head, body)
        self._flush_soon()
        return partial(self._cancel, number)

    def begin(self, head: bytes, done: CallDone, drained: Callable[[], None]) -> Stream:
        """Send the head of a request whose body comes later (`Carrier`)."""
        number = self._next
        self._next += 2
        call = self._calls[number] = StreamCall(done, streams=True)
        stream = call.stream = Stream(number, self._outbound.peer_window, _WINDOW, -1)
        stream.owner = drained
        self._outbound.start(stream, head)
        self._flush_soon()
        return stream

    def upload(self, stream: Stream, data: bytes) -> bool:
        """Send a piece of such a body; False: some of it waits."""
        went = self._outbound.send(stream, data)
        self._flush_soon()
        return went

    def upload_end(self, stream: Stream) -> None:
        """End such a body."""
        self._outbound.end(stream)
        self._flush_soon()

    def give_up(self, stream: Stream) -> None:
        """Call such a request off."""
        self._cancel(stream.id)

    def close(self) -> None:
        """End it; calls under way fail."""
        if self._transport is not None:
            self._outbound.put(goaway(0, Code.NO_ERROR))
            self._flush()
            self._transport.close()

    # -- the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = transport  # type: ignore[assignment]  # TCP and TLS both are Transports
        wanted = {Setting.ENABLE_PUSH: 0, Setting.INITIAL_WINDOW_SIZE: _WINDOW}
        self._outbound.put(PREFACE + settings(wanted))
        self._outbound.put(window_update(0, _CONNECTION_WINDOW - DEFAULT_WINDOW))
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way."""
        self._transport = None
        how = f" ({exc})" if exc else ""
        text = f'"{self._name}" closed the connection before it answered{how}; see its log'
        self._fail(list(self._calls), CallFailed("ConnectionLost", text, sent=True))
        self._owner.changed(self)

    def pause_writing(self) -> None:
        """Keep DATA back."""
        self._outbound.hold(held=True)

    def resume_writing(self) -> None:
        """Go on."""
        _tell_drained(self._outbound.hold(held=False))
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take bytes; write once what they make us say."""
        self._busy = True
        try:
            self._rest = self._read(self._rest + data if self._rest else data)
        except ConnectionFault as fault:
            self._outbound.put(goaway(0, fault.code, fault.text))
            text = f'"{self._name}" did not answer in HTTP/2 ({fault.text})'
            self._leaving = True
            self._fail(list(self._calls), CallFailed("InvalidAnswer", text, sent=True))
            if self._transport is not None:
                self._transport.write(self._outbound.take())
                self._transport.close()
        finally:
            self._busy = False
        self._flush()

    def _flush(self) -> None:
        if not self._busy and self._transport is not None:
            out = self._outbound.take()
            if out:
                self._transport.write(out)

    def _flush_soon(self) -> None:
        """Write when the loop turns, or when what came is read: calls of a turn go out together."""
        if not (self._busy or self._scheduled):
            self._scheduled = True
            self._loop.call_soon(self._flush_scheduled)

    def _flush_scheduled(self) -> None:
        self._scheduled = False
        self._flush()

    # -- reading -----------------------------------------------------------------------------

    def _read(self, data: bytes) -> bytes:
        at, end = 0, len(data)
        while end - at >= HEAD_BYTES:
            high, low, kind, flags, number = HEAD.unpack_from(data, at)
            size = high << 16 | low
            if size > FRAME_BYTES:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            stop = at + HEAD_BYTES + size
            if stop > end:
                break
            payload = data[at + HEAD_BYTES : stop]
            at = stop
            number &= MAX_WINDOW  # the reserved bit is ignored
            block_of = self._block[0]
            if block_of and (kind != _CONTINUATION or number != block_of):
                raise ConnectionFault(Code.PROTOCOL_ERROR, "another frame inside a header block")
            if kind == _DATA:
                self._data(flags, number, payload)
            elif kind == _HEADERS:
                self._headers(flags, number, payload)
            else:
                self._rare_frame(kind, flags, number, payload)
        return data[at:]

    def _rare_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _CONTINUATION:
            self._continuation(flags, number, payload)
        elif kind == Kind.WINDOW_UPDATE:
            self._window_update(number, payload)
        elif kind == Kind.SETTINGS:
            self._settings(flags, payload)
        elif kind == Kind.PING and not flags & ACK:
            self._outbound.put(frame(Kind.PING, ACK, 0, payload))
        elif kind == Kind.RST_STREAM:
            code = int.from_bytes(payload[:4], "big")
            text = f'"{self._name}" gave the call up (HTTP/2 error {code}); see its log'
            sent = code != Code.REFUSED_STREAM
            self._fail([number], CallFailed("ConnectionLost", text, sent=sent))
        elif kind == Kind.GOAWAY:
            self._goaway(payload)
        elif kind == Kind.PUSH_PROMISE:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a push, which is switched off")
        # PRIORITY and unknown frames are ignored (section 5.5).

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & PADDED:
            payload = _unpadded(payload)
        if flags & PRIORITISED:
            payload = payload[5:]
        ends = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._complete(number, payload, ends=ends)
        else:
            self._block = (number, ends, [payload])

    def _continuation(self, flags: int, number: int, payload: bytes) -> None:
        first, ends, pieces = self._block
        if not first:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        pieces.append(payload)
        if sum(map(len, pieces)) > self._limits.header_bytes:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "headers without an end")
        if flags & END_HEADERS:
            self._block = (0, False, [])
            self._complete(number, b"".join(pieces), ends=ends)

    def _complete(self, number: int, payload: bytes, *, ends: bool) -> None:
        block = self._blocks.read(payload)
        call = self._calls.get(number)
        if call is None:
            return  # called off meanwhile
        call.head = head = block if call.head is None else call.head.then(block)
        if ends:
            self._finish(number, call)
        elif call.streams and call.body is None and head.status == _OK:
            give, leave = partial(self._give, number, call), partial(self._cancel, number)
            call.begin(head, give, leave)

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._credit(size)
        if flags & PADDED:
            payload = _unpadded(payload)
        call = self._calls.get(number)
        if call is None:
            return
        if call.body is not None:
            call.add(payload, size)
            if flags & END_STREAM:
                self._finish(number, call)
            return
        call.pieces.append(payload)
        call.size += len(payload)
        if call.size > self._limits.body_bytes:
            text = f'"{self._name}" answered more than {self._limits.body_bytes} bytes'
            self._outbound.put(reset(number, Code.CANCEL))
            failure = CallFailed("AnswerTooLarge", f"{text}; let it answer less", sent=True)
            self._fail([number], failure)
        elif flags & END_STREAM:
            self._finish(number, call)
        else:
            call.unread += size
            self._give(number, call)

    def _give(self, number: int, call: StreamCall) -> None:
        """Let the peer send on, once it has sent half of what it may."""
        if call.unread > _WINDOW // 2 and number in self._calls:
            self._outbound.put(window_update(number, call.unread))
            call.unread = 0
            self._flush()

    def _credit(self, size: int) -> None:
        self._unread += size
        if self._unread > _CONNECTION_WINDOW // 2:
            self._outbound.put(window_update(0, self._unread))
            self._unread = 0

    def _window_update(self, number: int, payload: bytes) -> None:
        size = int.from_bytes(payload, "big") & MAX_WINDOW
        call = self._calls.get(number)
        if not number:
            self._outbound.window += size
        elif call is not None and call.stream is not None:
            call.stream.send_window += size
        if self._outbound.window > MAX_WINDOW or not size:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, f"WINDOW_UPDATE of {size}")
        _tell_drained(self._outbound.pump())

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        if len(payload) % 6:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
        for number, value in read_settings(payload):
            if number == Setting.INITIAL_WINDOW_SIZE:
                difference = value - self._outbound.peer_window
                self._outbound.peer_window = value
                for call in self._calls.values():
                    if call.stream is not None:
                        call.stream.send_window += difference
            elif number == Setting.MAX_FRAME_SIZE and FRAME_BYTES <= value < 2**24:
                self._outbound.peer_frame = value
            elif number == Setting.MAX_CONCURRENT_STREAMS:
                self._most = value
        self._outbound.put(frame(Kind.SETTINGS, ACK, 0))
        _tell_drained(self._outbound.pump())

    def _goaway(self, payload: bytes) -> None:
        """Take no new call; those that the peer has not looked at fail as not sent."""
        self._leaving = True
        last = int.from_bytes(payload[:4], "big") & MAX_WINDOW
        text = f'"{self._name}" takes no more calls on this connection; ask again'
        unseen = [number for number in self._calls if number > last]
        self._fail(unseen, CallFailed("ConnectionLost", text))
        self._close_if_done()

    # -- ends --------------------------------------------------------------------------------

    def _finish(self, number: int, call: StreamCall) -> None:
        head = call.head
        if call.body is None and (head is None or head.status < 0):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "an answer without a status")
        asking = call.stream is not None and not call.stream.local_closed
        self._forget(number)
        if asking:
            self._outbound.put(reset(number, Code.NO_ERROR))  # it wants no more of the request
        call.end()
        self._owner.changed(self)
        if self._leaving:
            self._close_if_done()

    def _fail(self, numbers: list[int], failure: CallFailed) -> None:
        for number in numbers:
            call = self._forget(number)
            if call is not None:
                call.fail(failure)
        if numbers:
            self._owner.changed(self)

    def _forget(self, number: int) -> StreamCall | None:
        call = self._calls.pop(number, None)
        if call is not None and call.stream is not None:
            self._outbound.waiting.pop(number, None)
            call.stream.local_closed = True  # what of a request still comes goes nowhere
        return call

    def _cancel(self, number: int) -> None:
        if self._forget(number) is not None:
            self._outbound.put(reset(number, Code.CANCEL))
            self._flush()
            self._owner.changed(self)

    def _close_if_done(self) -> None:
        if self._leaving and not self._calls and self._transport is not None:
            self._transport.close()


def _tell_drained(events: list[Drained]) -> None:
    for event in events:
        if event.stream.owner is not None and event.stream.ending is None:
            event.stream.owner()


def _ended(stream: Stream) -> None:
    """A request is told to its end: its answer is still to come."""


def _unpadded(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "padding that is longer than its frame")
    return payload[1 : len(payload) - payload[0]]
