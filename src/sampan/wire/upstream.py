"""Calling servers: a pool of connections an origin, and a call as a callback.

A call takes an idle connection or opens one; no task and no future while one is there. Nothing is
sent twice: a call fails where its connection does, and whoever made it decides what then.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from sampan.machinery.web_address import Origin
from sampan.wire.upstream_answer import Answer, CallDone, CallFailed, UpstreamLimits
from sampan.wire.upstream_connection import UpstreamConnection
from sampan.wire.upstream_http2_pool import Http2Pool
from sampan.wire.upstream_opening import Opener

Cancel: TypeAlias = Callable[[], None]


class Upstreams:
    """Calls any origin. Made and used on its loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: UpstreamLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls`: whom HTTP/1.1 over https trusts, where that is not who the machine trusts."""
        self.loop = loop
        self.limits = limits or UpstreamLimits()
        self._tls = tls
        self._pools: dict[Origin, Pool] = {}
        self._http2_pools: dict[Origin, Http2Pool] = {}

    def pool(self, origin: Origin) -> Pool:
        """Return the connections to an origin."""
        found = self._pools.get(origin)
        if found is None:
            found = self._pools[origin] = Pool(origin, self.loop, self.limits, self._tls)
        return found

    def http2_pool(self, origin: Origin) -> Http2Pool:
        """Return the HTTP/2 connection to an origin, for gRPC."""
        found = self._http2_pools.get(origin)
        if found is None:
            found = self._http2_pools[origin] = Http2Pool(origin, self.loop, self.limits)
        return found

    def close(self) -> None:
        """Close what is idle, and fail what waits."""
        for pool in self._pools.values():
            pool.close()
        for http2 in self._http2_pools.values():
            http2.close()


class PendingCall:
    """A call under way: it waits for a connection, has one, or is over."""

    __slots__ = ("_connection", "_done", "_timer", "body", "head", "over", "streams")

    def __init__(self, head: bytes, body: bytes, done: CallDone, *, streams: bool) -> None:
        self.head = head
        self.body = body
        self.streams = streams
        self.over = False
        self._done: CallDone | None = done
        self._connection: UpstreamConnection | None = None
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, loop: asyncio.AbstractEventLoop, seconds: float, name: str) -> None:
        """End the call after so many seconds."""
        text = f'"{name}" did not answer within {seconds:g} seconds'
        self._timer = loop.call_later(seconds, self._expire, text)

    def take(self, connection: UpstreamConnection) -> None:
        """Send the call on a connection."""
        self._connection = connection
        connection.send(self.head, self.body, self.tell, streams=self.streams)

    def tell(self, result: Answer | CallFailed) -> None:
        """Tell what came of it, once."""
        if self.over:
            return
        self.over = True
        self._connection = None
        if self._timer is not None:
            self._timer.cancel()
        done, self._done = self._done, None  # freed at once: it leads back to who called
        if done is not None:
            done(result)

    def cancel(self) -> None:
        """Call it off; nothing is told."""
        if self.over:
            return
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None:
            self._connection.cancel()

    def _expire(self, text: str) -> None:
        connection = self._connection
        sent = connection is not None
        if connection is not None:
            connection.cancel()
        self.tell(CallFailed("Timeout", text, sent=sent))


class Pool:
    """The connections to one origin. The one used last goes first, so that few stay open."""

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        limits: UpstreamLimits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.limits = limits
        self._loop = loop
        self.name = str(origin)
        self._idle: list[UpstreamConnection] = []
        self._open = 0
        self._waiting: deque[PendingCall] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._opener = Opener(origin, loop, limits, tls=tls)

    def call(
        self,
        head: bytes,
        body: bytes,
        seconds: float | None,
        done: CallDone,
        *,
        streams: bool = False,
    ) -> Cancel:
        """Send a request (`head` ends with its blank line); what is returned calls it off.

        `streams`: an answer that is an event stream is told with its head, and its body comes;
        `seconds` are until then.
        """
        call = PendingCall(head, body, done, streams=streams)
        if seconds is not None:
            call.limit(self._loop, seconds, self.name)
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                call.take(connection)
                return call.cancel
        self._waiting.append(call)
        if self._open < self.limits.connections:
            self._begin_connection()
        return call.cancel

    def freed(self, connection: UpstreamConnection) -> None:
        """Use a connection again: for who waits, else when asked."""
        while self._waiting:
            call = self._waiting.popleft()
            if not call.over:
                call.take(connection)
                return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self.limits.idle_seconds / 2, self._sweep)

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget a connection; whoever waited for it needs another."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._replace()

    def close(self) -> None:
        """Close what is idle, and let nobody wait."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._idle):
            connection.close()
        for task in tuple(self._connecting):
            task.cancel()
        while self._waiting:
            self._waiting.popleft().tell(CallFailed("Stopping", "the router is stopping"))

    def _replace(self) -> None:
        while self._waiting and self._waiting[0].over:
            self._waiting.popleft()
        if self._waiting and len(self._connecting) < len(self._waiting):
            self._begin_connection()

    def _begin_connection(self) -> None:
        self._open += 1
        task = self._loop.create_task(self._connect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _sweep(self) -> None:
        """Close what has been idle for long: its server may be about to."""
        self._sweeper = None
        oldest = self._loop.time() - self.limits.idle_seconds
        for connection in [c for c in self._idle if c.idle_since < oldest]:
            self._idle.remove(connection)
            connection.close()
        if self._idle:
            self._sweeper = self._loop.call_later(self.limits.idle_seconds / 2, self._sweep)

    async def _connect(self) -> None:
        make = partial(UpstreamConnection, self, self.name)
        try:
            connection = await self._opener.open(make)
        except CallFailed as failure:
            self._connecting.discard(asyncio.current_task())
            self._give_up(failure)
        else:
            self.freed(connection)

    def _give_up(self, failure: CallFailed) -> None:
        """Fail the call that waited longest: one attempt to connect is one call's.

        Those that wait because there were enough connections have had none yet.
        """
        self._open -= 1
        while self._waiting:
            call = self._waiting.popleft()
            if not call.over:
                call.tell(failure)
                break
        self._replace()
