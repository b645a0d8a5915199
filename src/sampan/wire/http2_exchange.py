"""Who works on a stream: one request and its answer, or a call that streams both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from sampan.wire.calls import Cancel, Handler
from sampan.wire.http2_connection import Connection
from sampan.wire.http2_events import Stream
from sampan.wire.http2_head import Head, encode_fields, encode_response
from sampan.wire.message import Response
from sampan.wire.pieces import Pieces
from sampan.wire.pump import Pump

Answer: TypeAlias = "Callable[[Exchange, Response], None]"


class Progress:
    """For how long what a stream holds back has not moved."""

    __slots__ = ("_left", "_since", "_stream")

    def __init__(self, stream: Stream, now: float) -> None:
        self._stream = stream
        self._left = -1
        self._since = now

    def stalled(self, now: float) -> float:
        """Return the seconds since any of it went out, as far as these calls have seen."""
        left = sum(map(len, self._stream.pending))
        if left != self._left:
            self._left, self._since = left, now
        return now - self._since


class Exchange:
    """A request whose body is collected, then answered whole; the `Reply` that its handler gets.

    `answer` sends what it is answered with.
    """

    __slots__ = (
        "_answer",
        "_progress",
        "answered",
        "cancel",
        "grpc",
        "head",
        "left",
        "pieces",
        "pump",
        "since",
        "size",
        "stream",
    )

    def __init__(self, stream: Stream, head: Head, grpc: bool, now: float, answer: Answer) -> None:
        self.stream = stream
        self.head = head
        self.grpc = grpc
        self.since = now
        self.pieces: Pieces = []
        self.size = 0
        self.answered = False
        self.left = False  # its peer sends no more: it may have left, or only half-closed
        self.cancel: Cancel | None = None
        self.pump: Pump | None = None  # while the answer is sent piece by piece
        self._progress: Progress | None = None
        self._answer = answer

    def __call__(self, response: Response) -> None:
        """Answer."""
        self._answer(self, response)

    def gone(self) -> bool:
        """Whether nobody waits for the answer: it was given, the peer gave the stream up or left.

        A peer that only half-closed counts as left here, so this is for what has not begun; what
        is answered all the same is answered to it as well.
        """
        return self.answered or self.left

    def when_gone(self, callback: Cancel) -> None:
        """Have this called if the peer leaves before the answer is given."""
        if not self.answered:
            self.cancel = callback

    @property
    def progress(self) -> Progress:
        """What is known of the sending; made when it is first looked at."""
        if self._progress is None:
            self._progress = Progress(self.stream, self.since)
        return self._progress

    def body(self) -> bytes:
        """Return the whole body, once."""
        body = b"".join(self.pieces)
        self.pieces = []
        return body

    def drained(self) -> None:
        """What was held back is gone: go on with a streamed answer."""
        if self.pump is not None:
            self.pump.resume()

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        if self.pump is not None:
            self.pump.cancel()
            self.pump = None
        cancel, self.cancel = self.cancel, None
        self.answered = True
        if cancel is not None:
            cancel()


class StreamChannel:
    """The `Channel` of a streaming call on a stream."""

    handler: Handler

    def __init__(
        self, stream: Stream, connection: Connection, flush: Callable[[], None], now: float
    ) -> None:
        self._stream = stream
        self._connection = connection
        self._flush = flush
        self.progress = Progress(stream, now)

    def start(self, content_type: bytes, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Send the response's head."""
        block = encode_response(200, content_type, -1, fields)
        self._connection.outbound.start(self._stream, block)
        self._flush()

    def send(self, data: bytes) -> bool:
        """Send a piece; False: wait for `drained`."""
        went = self._connection.outbound.send(self._stream, data)
        self._flush()
        return went

    def end(self, trailers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the trailers."""
        self._connection.outbound.end(self._stream, encode_fields(trailers))
        self._flush()

    def consumed(self, size: int) -> None:
        """Let the peer send as many bytes more."""
        self._connection.inbound.credit(self._stream, size)
        self._flush()

    def drained(self) -> None:
        """What was held back is gone."""
        self.handler.drained()
