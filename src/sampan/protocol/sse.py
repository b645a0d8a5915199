"""Server-sent events, as far as answers need them (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

CONTENT_TYPE = b"text/event-stream; charset=utf-8"


def event(data: bytes) -> bytes:
    """Return one event. Line breaks in the data become lines of it, as the format asks."""
    if b"\n" not in data and b"\r" not in data:
        return b"data: " + data + b"\n\n"
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
