"""Server-sent events, as far as answers need them (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

CONTENT_TYPE = b"text/event-stream; charset=utf-8"


def event(data: bytes) -> bytes:
    """Return one event. Line breaks in the data become lines of it, as the format asks."""
    if b"\n" not in data and b"\r" not in data:
        return b"data: " + data + b"\n\n"
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"


class Events:
    """The events of a stream as its bytes come: the data of each; comments and names are dropped.

    `most` bytes of an event are taken.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._line: list[bytes] = []  # pieces of a line that has not ended
        self._data: list[bytes] = []
        self._held = 0  # bytes of the lines that it came in
        self._open = 0  # bytes of the line

    def feed(self, piece: bytes) -> list[bytes]:
        """Take bytes; return the data of the events that they complete. ValueError beyond `most`.

        A lone CR ends no line here: servers write LF, or CRLF.
        """
        first, *others = piece.split(b"\n")
        self._keep(first)
        events: list[bytes] = []
        for other in others:
            line = b"".join(self._line).removesuffix(b"\r")
            self._line.clear()
            self._open = 0
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._held += len(line)
            elif not line and self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
                self._held = 0
            self._keep(other)
        return events

    def _keep(self, piece: bytes) -> None:
        self._line.append(piece)
        self._open += len(piece)
        if self._held + self._open > self._most:
            raise ValueError(f"an event is larger than {self._most} bytes; let the step say less")
