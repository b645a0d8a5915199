"""The first bytes of a connection tell which HTTP it speaks: HTTP/2 begins with a preface.

RFC 9113, section 3.3, prior knowledge. `Upgrade: h2c` is not taken up: HTTP/1.1 answers such a
request itself, as RFC 9110, section 7.8 allows.
"""

from __future__ import annotations

import asyncio

from sampan.wire.calls import Calls
from sampan.wire.host import Host
from sampan.wire.http1 import Http1
from sampan.wire.http2_frames import PREFACE
from sampan.wire.message import Submit


class Opening(asyncio.Protocol):
    """A connection of which nothing is known; makes way for `Http1` or `Http2`."""

    def __init__(
        self, host: Host, submit: Submit, calls: Calls | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._host = host
        self._submit = submit
        self._calls = calls
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._seen = b""
        self._since = host.now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes; where there are too many connections, answer at once."""
        self._transport = transport  # type: ignore[assignment]  # TCP and unix both are Transports
        if not self._host.opened(self):
            self._become(Http1(self._host, self._submit, self._loop))

    def data_received(self, data: bytes) -> None:
        """Decide, as soon as the bytes can be no preface or are one."""
        self._seen += data
        if not PREFACE.startswith(self._seen[: len(PREFACE)]):
            self._become(Http1(self._host, self._submit, self._loop))
        elif len(self._seen) >= len(PREFACE):
            from sampan.wire.http2 import Http2

            self._become(Http2(self._host, self._submit, self._calls, self._loop))

    def eof_received(self) -> None:
        """Close: a peer that never said anything is owed nothing."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Forget."""
        self._transport = None
        self._host.closed(self)

    def _become(self, protocol: asyncio.Protocol) -> None:
        transport = self._transport
        if transport is None:
            return
        self._transport = None
        transport.set_protocol(protocol)
        self._host.closed(self)  # first, so that one connection is never counted as two
        protocol.connection_made(transport)
        if self._seen:
            protocol.data_received(self._seen)

    def sweep(self, now: float) -> None:
        """Close who says nothing, and who stops inside the preface."""
        limits = self._host.limits
        allowed = limits.header_seconds if self._seen else limits.idle_seconds
        if self._transport is not None and now - self._since > allowed:
            self._transport.close()

    def drain(self) -> None:
        """Close: nothing is going on."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut off."""
        if self._transport is not None:
            self._transport.abort()
