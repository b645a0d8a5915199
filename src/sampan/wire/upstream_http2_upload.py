"""A call whose request goes out as it comes: for who passes on what streams both ways."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from sampan.wire.http2_events import Stream
from sampan.wire.upstream_answer import Answer, CallDone, CallFailed


class Carrier(Protocol):
    """The connection of such a call."""

    def begin(self, head: bytes, done: CallDone, drained: Callable[[], None]) -> Stream:
        """Send the head of a request; `drained` is called when nothing of its body waits."""

    def upload(self, stream: Stream, data: bytes) -> bool:
        """Send a piece of its body; False: some of it waits."""

    def upload_end(self, stream: Stream) -> None:
        """End its body."""

    def give_up(self, stream: Stream) -> None:
        """Reset it."""


class Upload:
    """A call that waits for a connection, keeping what it is given, or is on one. An answer of 200
    is told as soon as it begins, its body as `chunks`.
    """

    __slots__ = ("_carrier", "_done", "_drained", "_ended", "_head", "_kept", "_stream", "over")

    def __init__(self, head: bytes, done: CallDone, drained: Callable[[], None]) -> None:
        self._head = head
        self._done = done
        self._drained = drained
        self._kept: deque[bytes] = deque()
        self._ended = False
        self._carrier: Carrier | None = None
        self._stream: Stream | None = None
        self.over = False

    def take(self, carrier: Carrier) -> None:
        """Begin on a connection, with what has come so far."""
        self._carrier = carrier
        stream = self._stream = carrier.begin(self._head, self._done, self._drained)
        waits = False
        while self._kept:
            waits = not carrier.upload(stream, self._kept.popleft()) or waits
        if self._ended:
            carrier.upload_end(stream)
        elif not waits:
            self._drained()

    def send(self, data: bytes) -> bool:
        """Send a piece; False: send no more before `drained` is called."""
        if self._carrier is None or self._stream is None:
            self._kept.append(data)
            return False
        return self._carrier.upload(self._stream, data)

    def end(self) -> None:
        """Send no more."""
        self._ended = True
        if self._carrier is not None and self._stream is not None:
            self._carrier.upload_end(self._stream)

    def tell(self, result: Answer | CallFailed) -> None:
        """Tell that it never came to a connection."""
        if not self.over:
            self.over = True
            self._done(result)

    def cancel(self) -> None:
        """Call it off; nothing is told."""
        self.over = True
        if self._carrier is not None and self._stream is not None:
            self._carrier.give_up(self._stream)
