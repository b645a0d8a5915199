"""An HTTP/2 connection without I/O, the server's side (RFC 9113): bytes in, events out.

`receive` takes bytes and returns events; answers go out through `outbound`, whose `take` returns
the bytes to send.
"""

from __future__ import annotations

from sampan.wire.http2_events import (
    Answered,
    Ended,
    Event,
    Opened,
    Received,
    Reset,
    Stream,
)
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
    StreamFault,
    frame,
    goaway,
    reset,
    settings,
    window_update,
)
from sampan.wire.http2_head import HeadReader
from sampan.wire.http2_inbound import Inbound
from sampan.wire.http2_outbound import Outbound
from sampan.wire.http2_patience import Patience
from sampan.wire.http2_rules import unpadded, validate_frame, validate_size
from sampan.wire.http2_settings import take_settings
from sampan.wire.limits import Limits

_DATA, _HEADERS, _WINDOW_UPDATE = int(Kind.DATA), int(Kind.HEADERS), int(Kind.WINDOW_UPDATE)
_PING = b"draining"


class Connection:
    """The state of one connection. Not for several threads."""

    def __init__(self, limits: Limits) -> None:
        self.streams: dict[int, Stream] = {}
        self.last = 0  # the highest stream that the peer has opened
        self._limits = limits
        self._reader = HeadReader(limits)
        self.outbound = Outbound(self._end_local)
        self.inbound = Inbound(limits, self.outbound.put)
        # reading
        self._rest = b""
        self._greeted = 0  # bytes of the preface that have been seen
        self._settled = False  # the peer's first SETTINGS have been seen
        self._over = False
        self._block: list[bytes] = []
        self._block_stream = 0  # whose header block is incomplete
        self._block_ends = False
        self._partial = (0, 0, 0)  # a DATA frame in progress: stream, flags, bytes to come
        self._patience = Patience(limits)
        self._abandoned: dict[int, None] = {}  # streams that we reset: the peer may not know yet
        self.refusing = False  # after the last GOAWAY new streams are refused
        self._greet()

    def _greet(self) -> None:
        limits = self._limits
        self.outbound.put(
            settings(
                {
                    Setting.MAX_CONCURRENT_STREAMS: limits.streams,
                    Setting.INITIAL_WINDOW_SIZE: limits.window,
                    Setting.MAX_HEADER_LIST_SIZE: limits.header_bytes,
                }
            )
        )
        more = limits.connection_window - DEFAULT_WINDOW
        if more > 0:
            self.outbound.put(window_update(0, more))

    # -- reading -----------------------------------------------------------------------------

    @property
    def unfinished(self) -> bool:
        """Whether a preface or a header block has begun and not ended."""
        return not self._settled or bool(self._block_stream)

    def receive(self, data: bytes) -> list[Event]:
        """Return what these bytes mean; after `Ended` nothing is read any more."""
        events: list[Event] = []
        if self._over:
            return events
        if self._rest:
            data = self._rest + data
        try:
            at = self._read(data, events)
        except ConnectionFault as fault:
            self.finish(fault.code, fault.text)
            events.append(Ended(fault.code, fault.text))
            return events
        self._rest = data[at:] if at else data
        return events

    def _read(self, data: bytes, events: list[Event]) -> int:
        """Take whole frames; return where the first incomplete one begins."""
        at, end = 0, len(data)
        if self._greeted < len(PREFACE):
            at = self._read_preface(data)
            if not self._greeted:
                return 0
        if self._partial[2]:
            at = self._read_partial(data, at, events)
        while end - at >= HEAD_BYTES:
            high, low, kind, flags, stream = HEAD.unpack_from(data, at)
            size = high << 16 | low
            stream &= MAX_WINDOW  # the reserved bit is ignored
            start = at + HEAD_BYTES
            stop = start + size
            plain = kind <= _HEADERS and stream and size <= FRAME_BYTES  # what most frames are
            if not plain or self._block_stream or not self._settled:
                validate_frame(kind, size, stream, self._block_stream, settled=self._settled)
            if stop > end:
                if kind == Kind.DATA and not flags & PADDED and end - start >= FRAME_BYTES // 2:
                    self._partial = (stream, flags, stop - end)
                    self._data(flags & ~END_STREAM, stream, data[start:], events)
                    at = end
                break
            at = stop
            payload = data[start:stop]
            if kind == _DATA:
                self._data(flags, stream, payload, events)
            elif kind == _HEADERS:
                self._headers(flags, stream, payload, events)
            elif kind == _WINDOW_UPDATE:
                self._window_update(stream, payload, events)
            elif kind == Kind.CONTINUATION:
                self._continuation(flags, stream, payload, events)
            else:
                self._rare_frame(kind, flags, stream, payload, events)
        return at

    def _read_preface(self, data: bytes) -> int:
        size = min(len(PREFACE), len(data))
        if data[:size] != PREFACE[:size]:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the connection begins with no preface")
        if size < len(PREFACE):
            return 0
        self._greeted = size
        return size

    def _read_partial(self, data: bytes, at: int, events: list[Event]) -> int:
        stream, flags, missing = self._partial
        piece = data[at : at + missing]
        missing -= len(piece)
        self._partial = (stream, flags, missing)
        if piece:
            self._data(flags if not missing else 0, stream, piece, events)
        return at + len(piece)

    def _rare_frame(
        self, kind: int, flags: int, stream: int, payload: bytes, events: list[Event]
    ) -> None:
        self._patience.bother()
        validate_size(kind, len(payload))
        if kind == Kind.SETTINGS:
            self._settings(flags, payload, events)
        elif kind == Kind.PING:
            if not flags & ACK:
                self.outbound.put(frame(Kind.PING, ACK, 0, payload))
            elif payload == _PING:
                events.append(Answered())
        elif kind == Kind.RST_STREAM:
            self._reset_by_peer(stream, int.from_bytes(payload, "big"), events)
        elif kind == Kind.PUSH_PROMISE:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a client pushes nothing")
        elif kind == Kind.PRIORITY and payload[:4] == stream.to_bytes(4, "big"):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream that depends on itself")
        # GOAWAY of a client needs no act: it opens no more streams. Unknown frames are ignored.

    def forgive(self) -> None:
        """Forget the counts of the last second; called once a second."""
        self._patience.forgive()

    # -- header blocks -----------------------------------------------------------------------

    def _headers(self, flags: int, stream: int, payload: bytes, events: list[Event]) -> None:
        if flags & (PADDED | PRIORITISED):
            payload = unpadded(payload) if flags & PADDED else payload
            if flags & PRIORITISED:
                if len(payload) < 5:
                    raise ConnectionFault(Code.FRAME_SIZE_ERROR, "HEADERS without its priority")
                payload = payload[5:]
        if stream % 2 == 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"a client opens stream {stream}: even")
        ends = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._complete_block(stream, payload, ends, events)
        else:
            self._block_stream, self._block, self._block_ends = stream, [payload], ends

    def _continuation(self, flags: int, stream: int, payload: bytes, events: list[Event]) -> None:
        if not self._block_stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._block.append(payload)
        limits = self._limits
        if len(self._block) > limits.continuations + 1:
            raise ConnectionFault(
                Code.ENHANCE_YOUR_CALM, f"more than {limits.continuations} CONTINUATION frames"
            )
        if sum(map(len, self._block)) > limits.header_bytes:
            raise ConnectionFault(
                Code.ENHANCE_YOUR_CALM,
                f"request headers are larger than {limits.header_bytes} bytes; send less",
            )
        if flags & END_HEADERS:
            block, self._block, self._block_stream = b"".join(self._block), [], 0
            self._complete_block(stream, block, self._block_ends, events)

    def _complete_block(self, number: int, block: bytes, ends: bool, events: list[Event]) -> None:
        stream = self.streams.get(number)
        if stream is not None:
            self._trailers(stream, block, ends, events)
        elif number > self.last:
            self._open(number, block, ends, events)
        elif number in self._abandoned:
            self._reader.skip(block)
        else:
            raise ConnectionFault(Code.STREAM_CLOSED, f"HEADERS on closed stream {number}")

    def _open(self, number: int, block: bytes, ends: bool, events: list[Event]) -> None:
        self.last = number
        if self.refusing or len(self.streams) >= self._limits.streams:
            self._reader.skip(block)
            self._patience.bother()
            self.outbound.put(reset(number, Code.REFUSED_STREAM))
            self._abandon(number)
            return
        try:
            head = self._reader.read(block, ends=ends)
        except StreamFault as fault:
            self._patience.bother()
            self.outbound.put(reset(number, fault.code))
            self._abandon(number)
            return
        stream = Stream(number, self.outbound.peer_window, self._limits.window, head.length)
        stream.remote_closed = ends
        self.streams[number] = stream
        events.append(Opened(stream, head, ends))

    def _trailers(self, stream: Stream, block: bytes, ends: bool, events: list[Event]) -> None:
        """Drop a request's trailers: nothing here reads them."""
        self._reader.skip(block)
        if stream.remote_closed:
            self._fault(stream, Code.STREAM_CLOSED, events)
        elif not ends or stream.declared not in {-1, stream.received}:
            self._fault(stream, Code.PROTOCOL_ERROR, events)
        else:
            stream.remote_closed = True
            events.append(Received(stream, b"", 0, ended=True))

    # -- data and flow control ---------------------------------------------------------------

    def _data(self, flags: int, number: int, payload: bytes, events: list[Event]) -> None:
        size = len(payload)
        self.inbound.take(size)
        if flags & PADDED:
            payload = unpadded(payload)
        stream = self.streams.get(number)
        if stream is None or stream.remote_closed:
            self._data_after_end(stream, number, size, events)
            return
        ends = bool(flags & END_STREAM)
        stream.window -= size
        stream.unread += size
        stream.received += len(payload)
        if stream.window < 0:
            self._fault(stream, Code.FLOW_CONTROL_ERROR, events)
        elif stream.declared >= 0 and (
            stream.received > stream.declared or (ends and stream.received < stream.declared)
        ):
            self._fault(stream, Code.PROTOCOL_ERROR, events)
        else:
            if ends:
                stream.remote_closed = True
            elif not payload:
                self._patience.bother()
            events.append(Received(stream, payload, size, ends))

    def _data_after_end(
        self, stream: Stream | None, number: int, size: int, events: list[Event]
    ) -> None:
        if number > self.last:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"DATA on idle stream {number}")
        self.inbound.give_back(size)
        if stream is not None:
            self._fault(stream, Code.STREAM_CLOSED, events)
        elif number not in self._abandoned:
            self._patience.bother()
            self.outbound.put(reset(number, Code.STREAM_CLOSED))

    def _window_update(self, number: int, payload: bytes, events: list[Event]) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        size = int.from_bytes(payload, "big") & MAX_WINDOW
        if not number:
            self.outbound.window += size
            if not size or self.outbound.window > MAX_WINDOW:
                code = Code.FLOW_CONTROL_ERROR if size else Code.PROTOCOL_ERROR
                raise ConnectionFault(code, f"WINDOW_UPDATE of {size} on the connection")
        else:
            stream = self.streams.get(number)
            if stream is None:
                if number > self.last:
                    raise ConnectionFault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
                return
            stream.send_window += size
            if not size or stream.send_window > MAX_WINDOW:
                code = Code.FLOW_CONTROL_ERROR if size else Code.PROTOCOL_ERROR
                self._fault(stream, code, events)
                return
        if self.outbound.waiting:
            events.extend(self.outbound.pump())

    def _settings(self, flags: int, payload: bytes, events: list[Event]) -> None:
        if flags & ACK:
            if payload:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a SETTINGS acknowledgement of a size")
            return
        if len(payload) % 6:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
        self._settled = True
        take_settings(payload, self.outbound, self.streams.values())
        self.outbound.put(frame(Kind.SETTINGS, ACK, 0))
        events.extend(self.outbound.pump())

    # -- ending ------------------------------------------------------------------------------

    def warn(self) -> None:
        """Begin to drain: ask for no new streams, and by a PING when the peer has heard it."""
        self.outbound.put(goaway(MAX_WINDOW, Code.NO_ERROR))
        self.outbound.put(frame(Kind.PING, 0, 0, _PING))

    def refuse(self) -> None:
        """Take no new stream: those that come now were opened too late, and may be retried."""
        self.refusing = True
        self.outbound.put(goaway(self.last, Code.NO_ERROR))

    def finish(self, code: Code, text: str = "") -> None:
        """Read nothing more."""
        if not self._over:
            self._over = True
            self.outbound.put(goaway(self.last, code, text))

    def reset(self, stream: Stream, code: Code) -> None:
        """Give a stream up."""
        if self._forget(stream):
            self.outbound.put(reset(stream.id, code))
            self._abandon(stream.id)

    def _forget(self, stream: Stream) -> bool:
        """Close a stream at once; False where it is closed already."""
        if self.streams.pop(stream.id, None) is None:
            return False
        stream.local_closed = stream.remote_closed = True
        self.outbound.waiting.pop(stream.id, None)
        stream.pending.clear()
        self.inbound.give_back(stream.unread)
        stream.unread = 0
        return True

    def _end_local(self, stream: Stream) -> None:
        asked = not stream.remote_closed
        if self._forget(stream) and asked:
            self.outbound.put(reset(stream.id, Code.NO_ERROR))  # RFC 9113, section 8.1: stop asking
            self._abandon(stream.id)

    def _fault(self, stream: Stream, code: Code, events: list[Event]) -> None:
        self._patience.bother()
        self.reset(stream, code)
        events.append(Reset(stream, code))

    def _reset_by_peer(self, number: int, code: int, events: list[Event]) -> None:
        if number > self.last:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"RST_STREAM on idle stream {number}")
        stream = self.streams.get(number)
        if stream is None:
            return
        self._forget(stream)
        self._patience.count_reset()
        events.append(Reset(stream, code))

    def _abandon(self, number: int) -> None:
        self._abandoned[number] = None
        if len(self._abandoned) > 2 * self._limits.streams:
            del self._abandoned[next(iter(self._abandoned))]
