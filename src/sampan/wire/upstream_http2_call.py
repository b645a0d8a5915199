"""One call on its HTTP/2 stream: its answer as it comes, taken whole or passed on."""

from __future__ import annotations

from collections.abc import Callable

from sampan.wire.http2_events import Stream
from sampan.wire.upstream_answer import Answer, CallDone, CallFailed
from sampan.wire.upstream_stream import StreamedBody

Fields = list[tuple[bytes, bytes]]


class StreamCall:
    """A call. Where it `streams`, an answer of 200 is told with its head, its body as it comes."""

    __slots__ = ("_give", "_leave", "_paused", "body", "done", "fields", "pieces", "size",
                 "stream", "streams", "unread")  # fmt: skip

    def __init__(self, stream: Stream, done: CallDone, *, streams: bool = False) -> None:
        self.stream = stream
        self.done = done
        self.streams = streams
        self.fields: Fields = []
        self.pieces: list[bytes] = []
        self.size = 0
        self.unread = 0
        self.body: StreamedBody | None = None
        self._paused = False
        self._give: Callable[[], None] | None = None
        self._leave: Callable[[], None] | None = None

    def begin(self, give: Callable[[], None], leave: Callable[[], None]) -> None:
        """Tell the head. `give` lets the peer send on, `leave` tells it that nobody wants more."""
        told, self.fields = self.fields, []
        self._give, self._leave = give, leave
        self.body = StreamedBody(self)
        fields = tuple(pair for pair in told if not pair[0].startswith(b":"))
        content_type = dict(told).get(b"content-type", b"")
        self.done(Answer(200, b"", content_type, self.body, fields))

    @property
    def is_begun_by(self) -> bool:
        """Whether the fields that have come begin an answer that is passed on."""
        return self.streams and self.body is None and (b":status", b"200") in self.fields

    def add(self, piece: bytes, size: int) -> None:
        """Take a piece of a body that is passed on; `size` bytes of the window went for it."""
        self.unread += size
        if self.body is not None:
            self.body.add(piece)  # may pause
        if not self._paused and self._give is not None:
            self._give()

    def fail(self, failure: CallFailed) -> None:
        """Tell that no answer comes, or no more of it."""
        if self.body is None:
            self.done(failure)
        else:
            self.body.end(failure)

    # -- what a body asks of where it comes from ---------------------------------------------

    def pause(self) -> None:
        """Let the peer's window run out."""
        self._paused = True

    def resume(self) -> None:
        """Open it again."""
        self._paused = False
        if self._give is not None:
            self._give()

    def cancel(self) -> None:
        """Want no more."""
        if self._leave is not None:
            self._leave()
