"""What comes of a call: an answer, or why there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Answer(NamedTuple):
    """A whole answer, whatever its status; or one whose body comes as `chunks`."""

    status: int
    body: bytes
    content_type: bytes = b""
    chunks: AsyncIterator[bytes] | None = None
    fields: tuple[tuple[bytes, bytes], ...] = ()  # its headers, as they came


class CallFailed(Exception):
    """No answer came. `reason` is CamelCase; `sent`: the peer may have acted on the request."""

    def __init__(self, reason: str, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.sent = sent


CallDone: TypeAlias = Callable[[Answer | CallFailed], None]
"""Told what came of a call, once, on the loop's thread."""


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """What a called server may ask of us, each with its reason."""

    header_bytes: int = 64 * 1024
    body_bytes: int = 64 * 1024 * 1024  # as much as a request may have
    connect_seconds: float = 10.0
    idle_seconds: float = 4.0  # below the 5 s after which uvicorn, the shortest, closes
    connections: int = 1024  # to one origin; what is beyond waits for one of them
