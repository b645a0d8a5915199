"""One call on its HTTP/2 stream: its answer as it comes, taken whole or passed on."""

from __future__ import annotations

from collections.abc import Callable

from sampan.wire.http2_events import Stream
from sampan.wire.upstream_answer import Answer, CallDone, CallFailed
from sampan.wire.upstream_http2_head import Block
from sampan.wire.upstream_stream import StreamedBody


class StreamCall:
    """A call. Where it `streams`, an answer of 200 is told with its head, its body as it comes.

    `stream` is what is still to be sent of it; None where the windows let all of it pass at once.
    `head` is what its blocks have told so far.
    """

    __slots__ = ("_give", "_leave", "_paused", "body", "done", "head", "pieces", "size",
                 "stream", "streams", "unread")  # fmt: skip

    def __init__(self, done: CallDone, streams: bool) -> None:
        self.stream: Stream | None = None
        self.done = done
        self.streams = streams
        self.head: Block | None = None
        self.pieces: list[bytes] = []
        self.size = 0
        self.unread = 0
        self.body: StreamedBody | None = None
        self._paused = False
        self._give: Callable[[], None] | None = None
        self._leave: Callable[[], None] | None = None

    def begin(self, head: Block, give: Callable[[], None], leave: Callable[[], None]) -> None:
        """Tell the head. `give` lets the peer send on, `leave` tells it that nobody wants more."""
        self.head = None  # what comes now are trailers
        self._give, self._leave = give, leave
        self.body = StreamedBody(self)
        self.done(Answer(200, b"", head.content_type, self.body, head.fields))

    def add(self, piece: bytes, size: int) -> None:
        """Take a piece of a body that is passed on; `size` bytes of the window went for it."""
        self.unread += size
        if self.body is not None:
            self.body.add(piece)  # may pause
        if not self._paused and self._give is not None:
            self._give()

    def end(self) -> None:
        """Tell the answer, which is whole; or of one that is passed on, that nothing follows."""
        head = self.head
        if self.body is not None:
            self.body.end(None, () if head is None else head.fields)
        elif head is not None:
            pieces = self.pieces
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self.done(Answer(head.status, body, head.content_type, None, head.fields))

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
