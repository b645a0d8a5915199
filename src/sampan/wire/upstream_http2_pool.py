"""The HTTP/2 connection to an origin: one, opened when it is needed, and another after it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from sampan.machinery.web_address import Origin
from sampan.wire.calls import Cancel
from sampan.wire.upstream_answer import Answer, CallDone, CallFailed, UpstreamLimits
from sampan.wire.upstream_http2 import Http2Upstream
from sampan.wire.upstream_http2_upload import Upload
from sampan.wire.upstream_opening import Opener


class PendingRpc:
    """A call that waits for the connection, or is on it; told once."""

    __slots__ = ("_cancel", "_done", "_timer", "body", "head", "over", "streams")

    def __init__(self, head: bytes, body: bytes, done: CallDone, *, streams: bool) -> None:
        self.head = head
        self.body = body
        self.streams = streams
        self.over = False
        self._done: CallDone | None = done
        self._cancel: Cancel | None = None
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, loop: asyncio.AbstractEventLoop, seconds: float, name: str) -> None:
        """End the call after so many seconds."""
        text = f'"{name}" did not answer within {seconds:g} seconds'
        self._timer = loop.call_later(seconds, self._expire, CallFailed("Timeout", text, sent=True))

    def take(self, connection: Http2Upstream) -> None:
        """Send the call."""
        cancel = connection.send(self.head, self.body, self.tell, streams=self.streams)
        self._cancel = None if self.over else cancel

    def tell(self, result: Answer | CallFailed) -> None:
        """Tell what came of it, once."""
        if self.over:
            return
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        done, self._done, self._cancel = self._done, None, None
        if done is not None:
            done(result)

    def cancel(self) -> None:
        """Call it off; nothing is told."""
        if self.over:
            return
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()

    def _expire(self, failure: CallFailed) -> None:
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()
        self.tell(failure)


class Http2Pool:
    """Calls of one origin. Made and used on its loop's thread."""

    def __init__(
        self, origin: Origin, loop: asyncio.AbstractEventLoop, limits: UpstreamLimits
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._opener = Opener(origin, loop, limits, ("h2",))
        self._connection: Http2Upstream | None = None
        self._opening: asyncio.Task[None] | None = None
        self._waiting: deque[PendingRpc | Upload] = deque()

    def call(
        self,
        head: bytes,
        body: bytes,
        seconds: float | None,
        done: CallDone,
        *,
        streams: bool = False,
    ) -> Cancel:
        """Send a request (`head` is its header block); what is returned calls it off.

        Where it `streams`, an answer of 200 is told as soon as it begins, its body as `chunks`.
        """
        connection = self._connection
        if connection is not None and (self._waiting or not connection.has_room):
            connection = None
        if connection is not None and seconds is None:
            return connection.send(head, body, done, streams=streams)
        call = PendingRpc(head, body, done, streams=streams)
        if seconds is not None:
            call.limit(self._loop, seconds, self._opener.name)
        if connection is not None:
            call.take(connection)
        else:
            self._waiting.append(call)
            self._go_on()
        return call.cancel

    def open(self, head: bytes, done: CallDone, drained: Callable[[], None]) -> Upload:
        """Begin a call whose request is sent as it comes; see `Upload`."""
        call = Upload(head, done, drained)
        self._waiting.append(call)
        self._go_on()
        return call

    def changed(self, connection: Http2Upstream) -> None:
        """Know that a connection has room again, or is over."""
        if connection is self._connection and connection.is_over:
            self._connection = None
        if self._waiting:
            self._go_on()

    def close(self) -> None:
        """Close the connection, and let nobody wait."""
        if self._opening is not None:
            self._opening.cancel()
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            call.tell(CallFailed("Stopping", "the router is stopping"))
        if self._connection is not None:
            self._connection.close()

    def _go_on(self) -> None:
        connection = self._connection
        if connection is None or connection.is_over:
            if self._opening is None:
                self._opening = self._loop.create_task(self._open())
            return
        while self._waiting and connection.has_room:
            call = self._waiting.popleft()
            if not call.over:
                call.take(connection)

    async def _open(self) -> None:
        name = self._opener.name
        try:
            self._connection = await self._opener.open(
                partial(Http2Upstream, self, name, self._limits, self._loop)
            )
        except CallFailed as failure:
            self._opening = None
            waiting, self._waiting = self._waiting, deque()
            for call in waiting:
                call.tell(failure)
        else:
            self._opening = None
            self._go_on()
