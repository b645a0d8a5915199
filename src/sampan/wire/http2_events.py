"""What a peer's bytes mean: the events that an HTTP/2 connection reports. Plain values."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, TypeAlias

from sampan.wire.http2_frames import Code
from sampan.wire.http2_head import Head


class Stream:
    """One open stream. `owner` belongs to whoever uses the connection; the rest to it."""

    __slots__ = (
        "declared",
        "ending",
        "id",
        "local_closed",
        "owner",
        "pending",
        "received",
        "remote_closed",
        "send_window",
        "uncredited",
        "unread",
        "window",
    )

    def __init__(self, number: int, send_window: int, window: int, declared: int) -> None:
        self.id = number
        self.send_window = send_window
        self.window = window  # what the peer may still send
        self.unread = 0  # received, not consumed yet
        self.uncredited = 0  # consumed, not given back to the peer yet
        self.received = 0
        self.declared = declared  # content-length, or -1
        self.remote_closed = False
        self.local_closed = False
        self.pending: deque[memoryview] = deque()  # accepted for sending, held by flow control
        self.ending: bytes | None = None  # trailer block to send after `pending`; b"": none
        self.owner: Any = None


class Opened(NamedTuple):
    """A request's head. `ended`: it has no body."""

    stream: Stream
    head: Head
    ended: bool


class Received(NamedTuple):
    """A piece of a body. `size` is what flow control counted, padding included."""

    stream: Stream
    data: bytes
    size: int
    ended: bool


class Reset(NamedTuple):
    """The peer gave up a stream, or broke its protocol: it is gone."""

    stream: Stream
    code: Code | int


class Drained(NamedTuple):
    """Everything of a stream that flow control had held is sent."""

    stream: Stream


class Ended(NamedTuple):
    """The connection is over: `take` has a GOAWAY, nothing more is read."""

    code: Code
    text: str


class Answered(NamedTuple):
    """The peer answered our PING."""


Event: TypeAlias = "Opened | Received | Reset | Drained | Ended | Answered"
