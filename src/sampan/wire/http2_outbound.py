"""The sending half of an HTTP/2 connection: frames queued, flow control kept (RFC 9113, 5.2). Pure.

What does not fit the peer's windows waits in its stream and goes out when they open, a frame a
stream in turn. The transport may be full too (`hold`): then only what is no DATA goes out.
"""

from __future__ import annotations

from collections.abc import Callable

from sampan.wire.http2_events import Drained, Stream
from sampan.wire.http2_frames import (
    DEFAULT_WINDOW,
    END_STREAM,
    FRAME_BYTES,
    HEAD,
    Kind,
    frame,
    header_frames,
)


class Outbound:
    """Queued frames and open windows. `closed` is told of each stream whose end is queued."""

    def __init__(self, closed: Callable[[Stream], None]) -> None:
        self.window = DEFAULT_WINDOW
        self.peer_window = DEFAULT_WINDOW  # that each new stream begins with
        self.peer_frame = FRAME_BYTES
        self.waiting: dict[int, Stream] = {}  # streams with something pending, in turn
        self._closed = closed
        self._held = False
        self._out: list[bytes] = []

    def put(self, frames: bytes) -> None:
        """Queue frames as they are."""
        self._out.append(frames)

    def ask(self, number: int, head: bytes, body: bytes) -> bool:
        """Send a whole request on a new stream; False, and nothing sent, where windows or a full
        transport would hold some of it.
        """
        size = len(body)
        if self._held or not 0 < size <= min(self.window, self.peer_window, self.peer_frame):
            return False
        self.window -= size
        self._out += (
            header_frames(number, head, end=False, limit=self.peer_frame),
            HEAD.pack(size >> 16, size & 0xFFFF, 0, END_STREAM, number),  # DATA
            body,
        )
        return True

    def respond(self, stream: Stream, head: bytes, body: bytes, trailers: bytes = b"") -> None:
        """Send a whole response: header block, body, and the trailer block if any."""
        if stream.local_closed:
            return
        size = len(body)
        if not body:
            self._out.append(
                header_frames(stream.id, head, end=not trailers, limit=self.peer_frame)
            )
            if trailers:
                self._out.append(
                    header_frames(stream.id, trailers, end=True, limit=self.peer_frame)
                )
            self._close(stream)
        elif (
            size <= stream.send_window
            and size <= self.window
            and size <= self.peer_frame
            and not self._held
        ):
            self._respond_at_once(stream, head, body, trailers)
        else:
            self.start(stream, head)
            self.send(stream, body)
            self.end(stream, trailers)

    def _respond_at_once(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> None:
        size = len(body)
        stream.send_window -= size
        self.window -= size
        number = stream.id
        last = 0 if trailers else END_STREAM
        self._out += (
            header_frames(number, head, end=False, limit=self.peer_frame),
            HEAD.pack(size >> 16, size & 0xFFFF, 0, last, number),  # DATA
            body,
        )
        if trailers:
            self._out.append(header_frames(number, trailers, end=True, limit=self.peer_frame))
        self._close(stream)

    def start(self, stream: Stream, head: bytes) -> None:
        """Begin a streamed response."""
        if not stream.local_closed:
            self._out.append(header_frames(stream.id, head, end=False, limit=self.peer_frame))

    def send(self, stream: Stream, data: bytes) -> bool:
        """Send a piece of a body; False: flow control holds some, `Drained` will tell."""
        if stream.local_closed or stream.ending is not None or not data:
            return True
        stream.pending.append(memoryview(data))
        self.waiting[stream.id] = stream
        self.pump()
        return not stream.pending

    def end(self, stream: Stream, trailers: bytes = b"") -> None:
        """End a streamed response, with a trailer block or without."""
        if stream.local_closed or stream.ending is not None:
            return
        stream.ending = trailers
        self.waiting[stream.id] = stream
        self.pump()

    def hold(self, held: bool) -> list[Drained]:
        """Keep DATA back, or let it go on."""
        self._held = held
        return [] if held else self.pump()

    def pump(self) -> list[Drained]:
        """Send what the windows let pass, a frame a stream in turn, so that none starves."""
        drained: list[Drained] = []
        while self.waiting and not self._held:
            moved = False
            for stream in tuple(self.waiting.values()):
                if self._send_frame(stream):
                    moved = True
                    if not stream.pending:
                        self.waiting.pop(stream.id, None)
                        drained.append(Drained(stream))
            if not moved:
                break
        return drained

    def _send_frame(self, stream: Stream) -> bool:
        """Send one DATA frame of a stream, or its end; False: its window or ours is shut."""
        if stream.pending:
            piece = stream.pending[0]
            size = min(len(piece), stream.send_window, self.window, self.peer_frame)
            if size <= 0:
                return False
            stream.send_window -= size
            self.window -= size
            if size == len(piece):
                stream.pending.popleft()
            else:
                stream.pending[0] = piece[size:]
            last = not stream.pending and stream.ending == b""
            self._out.append(
                HEAD.pack(
                    size >> 16, size & 0xFFFF, Kind.DATA, END_STREAM if last else 0, stream.id
                )
            )
            self._out.append(piece[:size])  # type: ignore[arg-type]  # joined with bytes: a buffer
            if last:
                self._close(stream)
                return True
        if not stream.pending and stream.ending is not None:
            if stream.ending:
                self._out.append(
                    header_frames(stream.id, stream.ending, end=True, limit=self.peer_frame)
                )
            else:
                self._out.append(frame(Kind.DATA, END_STREAM, stream.id))
            self._close(stream)
        return True

    def stuck(self) -> tuple[Stream, ...]:
        """Return the streams that wait for the peer to open a window."""
        return () if self._held else tuple(self.waiting.values())

    def take(self) -> bytes:
        """Return what is to be sent, once."""
        out, self._out = self._out, []
        return b"".join(out)

    def _close(self, stream: Stream) -> None:
        stream.local_closed = True
        self._closed(stream)
