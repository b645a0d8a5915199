"""What of requests and answers becomes events of the log.

KServe, request logger: the id is the client's own `Ce-Id` or a new one, and both events have it;
the answer's event has the request's content type; answers are logged where their status is 200.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Protocol

from sampan.agent.events import REQUEST, RESPONSE, Event, Origin, render_metadata
from sampan.wire.message import Request

MOST_BYTES = 16 * 1024 * 1024
"""Of a payload that streams; what is longer is logged cut off."""


class Sink(Protocol):
    """Where events go."""

    def add(self, event: Event) -> None:
        """Take an event; never waits."""


class Recorder:
    """Records requests, answers or both (`mode`: request, response, all)."""

    def __init__(self, sink: Sink, origin: Origin, mode: str) -> None:
        self._sink = sink
        self._origin = origin
        self._asked = mode in {"all", "request"}
        self._answered = mode in {"all", "response"}

    def begin(self, request: Request) -> Entry:
        """Return the entry of a request, of which nothing is logged yet."""
        return Entry(self._sink.add, request, self._origin, self._asked, self._answered)


class Entry:
    """One request and its answer."""

    def __init__(
        self,
        add: Callable[[Event], None],
        request: Request,
        origin: Origin,
        asked: bool,
        answered: bool,
    ) -> None:
        self._add = add
        self._name = (request.header(b"ce-id") or b"").decode("latin-1") or str(uuid.uuid4())
        self._content_type = request.header(b"content-type") or b""
        self._metadata = render_metadata(request.headers, origin.metadata_headers)
        self._asked = asked
        self.wants_answer = answered

    def asked(self, body: bytes) -> None:
        """Log the request, if requests are."""
        if self._asked:
            self._tell(REQUEST, body)

    def answered(self, body: bytes) -> None:
        """Log the answer, if answers are."""
        if self.wants_answer:
            self._tell(RESPONSE, body)

    def _tell(self, kind: str, body: bytes) -> None:
        event = Event(self._name, kind, time.time(), self._content_type, body, self._metadata)
        self._add(event)
