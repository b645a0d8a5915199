"""One connection to a server that is called: HTTP/1.1 from the client's side.

One call at a time, never pipelined; a connection whose call went wrong is not used again.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from sampan.wire.upstream_answer import Answer, CallDone, CallFailed, UpstreamLimits
from sampan.wire.upstream_incoming import Incoming
from sampan.wire.upstream_stream import StreamedBody, is_stream

_COPY_BYTES = 64 * 1024  # up to here one joined write is cheaper than two buffers


class Owner(Protocol):
    """The pool that a connection belongs to."""

    limits: UpstreamLimits

    def freed(self, connection: UpstreamConnection) -> None:
        """Take back a connection that may be used again."""

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget a connection."""


class UpstreamConnection(asyncio.Protocol):
    """A connection that is idle, or has one call. `name` is the server's, for messages."""

    def __init__(self, owner: Owner, name: str) -> None:
        self._owner = owner
        self._incoming = Incoming(name, owner.limits)
        self._transport: asyncio.Transport | None = None
        self._done: CallDone | None = None
        self._streams = False  # the answer may be passed on as it comes
        self._body: StreamedBody | None = None  # while it is
        self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a call may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, head: bytes, body: bytes, done: CallDone, *, streams: bool = False) -> None:
        """Send a request; `head` ends with its blank line. Only where the connection is open.

        `streams`: an answer that is an event stream is told with its head, and its body comes.
        """
        transport = self._transport
        if transport is None:
            done(CallFailed("ConnectionLost", "the connection closed before anything was sent"))
            return
        self._done = done
        self._streams = streams
        if len(body) > _COPY_BYTES:
            transport.writelines((head, body))
        else:
            transport.write(head + body)

    def cancel(self) -> None:
        """Forget the call. In HTTP/1.1 that takes the connection with it."""
        self._done = self._body = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close an idle connection."""
        if self._transport is not None:
            self._transport.close()

    # -- the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = transport  # type: ignore[assignment]  # TCP and TLS both are Transports

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer; what nobody asked for ends the connection."""
        if self._body is not None:
            self._go_on(self._body, self._incoming.feed(data))
            return
        if self._done is None:
            self.cancel()
            return
        result = self._incoming.feed(data)
        if result is not None:
            self._finish(result)
        elif self._streams:
            self._begin_stream()

    def eof_received(self) -> None:
        """Let go of it: a server that says no more takes no more."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell what came of the call that is under way."""
        self._transport = None
        self._owner.lost(self)
        if self._body is not None:
            self._go_on(self._body, self._incoming.end(exc))
        elif self._done is not None:
            self._finish(self._incoming.end(exc))
        self._incoming.close()

    def pause(self) -> None:
        """Read nothing more for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def _begin_stream(self) -> None:
        head, done = self._incoming.head(), self._done
        if head is None or done is None or not is_stream(head.content_type):
            return
        if not 200 <= head.status < 300:
            return  # a refusal is short, and whoever called may ask elsewhere
        self._done = None
        self._body = StreamedBody(self)
        self._body.add(self._incoming.take())
        done(head._replace(chunks=self._body))

    def _go_on(self, body: StreamedBody, result: Answer | CallFailed | None) -> None:
        """Pass on what has come; in the end let go of the connection."""
        if result is None:
            body.add(self._incoming.take())
            return
        self._body = None
        if isinstance(result, Answer):
            body.add(result.body)
        body.end(result if isinstance(result, CallFailed) else None)
        self._finish(result)

    def _finish(self, result: Answer | CallFailed) -> None:
        done, transport = self._done, self._transport
        self._done = None
        if transport is not None:
            # What of the request is not yet written when the answer is there never ends rightly.
            if not self._incoming.reusable or transport.get_write_buffer_size():
                transport.abort()
            elif not transport.is_closing():
                self._owner.freed(self)
        if done is not None:
            done(result)
