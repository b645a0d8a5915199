"""A streaming gRPC call: its messages one after the other, with back-pressure both ways.

The next message is taken when the last is answered and the peer has room for the answer; until
then its bytes are not credited, so a peer that sends quicker than it is served waits.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from sampan.protocol.grpc import framing
from sampan.protocol.grpc.status import RpcError, Status
from sampan.server.exchange import Exchange
from sampan.server.grpc_answers import CONTENT_TYPE, make_trailers
from sampan.wire.calls import Channel
from sampan.wire.message import Response


class Conversation(Protocol):
    """What a streaming method does with a call."""

    def take(self, message: bytes, call: StreamCall) -> None:
        """Take a message; `call.proceed` asks for the next, now or later."""

    def ended(self, call: StreamCall) -> None:
        """The client has sent everything, and all of it was taken."""

    def closed(self) -> None:
        """The call is over, whoever ended it."""


class StreamCall:
    """The `Handler` of one call."""

    def __init__(
        self,
        channel: Channel,
        unpacker: framing.Unpacker,
        conversation: Conversation,
        exchange: Exchange,
    ) -> None:
        self.exchange = exchange
        self.over = False
        self._channel = channel
        self._unpacker = unpacker
        self._conversation = conversation
        self._started = False
        self._busy = False
        self._blocked = False
        self._half_closed = False
        self._told = False  # the conversation knows of the end
        self._draining = False
        self._advancing = False
        self._sent = 0  # bytes, of all messages
        self._owed = 0  # received bytes that the peer was not given back
        self._space: asyncio.Future[None] | None = None  # while it is waited for
        self._timer: asyncio.TimerHandle | None = None

    def expire_in(self, seconds: float) -> None:
        """End the call when its deadline passes."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(
            seconds, self.end, RpcError(Status.DEADLINE_EXCEEDED, "Deadline Exceeded")
        )

    # -- from the wire -----------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Take bytes."""
        self._unpacker.feed(data)
        self._owed += len(data)
        self._advance()

    def ended(self) -> None:
        """The client sends no more."""
        self._half_closed = True
        self._advance()

    def drained(self) -> None:
        """The client has read what was held back."""
        self._blocked = False
        self._make_space()
        self._advance()

    def cancelled(self) -> None:
        """The client gave up."""
        self._close(RpcError(Status.CANCELLED, "the client has left"))

    def gone(self) -> bool:
        """Whether nobody waits any more."""
        return self.over

    def drain(self) -> None:
        """Answer what has arrived, then end."""
        self._draining = True
        self._advance()

    # -- to the client -----------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Send a message."""
        if self.over:
            return
        self._start()
        self._sent += framing.PREFIX_BYTES + len(message)
        self._blocked = not self._channel.send(framing.pack(message))

    async def space(self) -> None:
        """Wait until the client has read enough for another message, or has left."""
        if self._blocked and not self.over:
            self._space = asyncio.get_running_loop().create_future()
            await self._space

    def _make_space(self) -> None:
        if self._space is not None and not self._space.done():
            self._space.set_result(None)

    def proceed(self) -> None:
        """The last message is dealt with."""
        self._busy = False
        self._advance()

    def end(self, error: BaseException | None = None) -> None:
        """End the call."""
        if self.over:
            return
        self._start()
        self._channel.end(make_trailers(error))
        self._close(error)

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._channel.start(CONTENT_TYPE, self.exchange.stamp)

    def _advance(self) -> None:
        """Take messages while that is allowed. No recursion: one that is answered at once loops."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while not (self.over or self._busy or self._blocked) and self._step():
                pass
        except RpcError as error:
            self.end(error)
        finally:
            self._advancing = False

    def _step(self) -> bool:
        """Take one message; False: there is none."""
        found = self._unpacker.next()
        if found is not None:
            self._busy = True
            self._conversation.take(found[0], self)
            return True
        if self._owed:
            owed, self._owed = self._owed, 0
            self._channel.consumed(owed)
        if self._draining:
            self.end(RpcError(Status.UNAVAILABLE, "the server stops; try again"))
        elif self._half_closed and not self._told:
            if self._unpacker.waiting:
                raise RpcError(Status.INVALID_ARGUMENT, "the call ends inside a message")
            self._told = True
            self._conversation.ended(self)
        return False

    def _close(self, error: BaseException | None) -> None:
        if self.over:
            return
        self.over = True
        self._make_space()
        if self._timer is not None:
            self._timer.cancel()
        self._conversation.closed()
        stamp = self.exchange.stamp
        told = Response(200, b"", CONTENT_TYPE, stamp, make_trailers(error))
        self.exchange.ended(told, self._sent)
