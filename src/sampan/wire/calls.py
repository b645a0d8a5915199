"""What gRPC asks of a wire beyond requests and responses: messages that stream both ways.

The wire tells gRPC requests by their content type alone; what a method means is decided by the
`Calls` it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Protocol, TypeAlias

from sampan.wire.message import Reply, Request, Response

Cancel: TypeAlias = Callable[[], None]
"""Told that nobody waits for the answer any more."""


class Channel(Protocol):
    """The server's side of one streaming call. After its end every method does nothing."""

    def start(self, content_type: bytes, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Send the response's head."""

    def send(self, data: bytes) -> bool:
        """Send a piece; False: the peer reads slowly, wait for `drained` before sending more."""

    def end(self, trailers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the trailers: the call is over."""

    def consumed(self, size: int) -> None:
        """Let the peer send as many bytes more."""


class Handler(Protocol):
    """The application's side of one streaming call."""

    def received(self, data: bytes) -> None:
        """Take bytes; tell the channel when they are consumed."""

    def ended(self) -> None:
        """The peer sends no more."""

    def drained(self) -> None:
        """What `send` had to hold back is gone."""

    def cancelled(self) -> None:
        """The peer, or the connection, gave up."""

    def drain(self) -> None:
        """The server stops: come to an end soon."""


class Calls(Protocol):
    """The gRPC application."""

    @property
    def streaming(self) -> Container[bytes]:
        """The targets of the methods that stream."""

    def submit(self, request: Request, reply: Reply) -> Cancel | None:
        """Answer a whole call of one message, as `Submit` does."""

    def open(self, request: Request, channel: Channel) -> Handler | None:
        """Return the handler of a streaming call, whose body is still to come; None: not one."""

    def refuse(self, status: int, text: str) -> Response:
        """Return the answer to a call that the wire refuses for an HTTP status."""
