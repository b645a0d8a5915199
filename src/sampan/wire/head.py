"""Response heads as bytes (RFC 9112, sections 4 and 6). Pure but for the cached date."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

from sampan.wire.message import Response

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_JSON = b"application/json"
_LF, _CR = b"\n\r"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Head:
    """Renders heads; `tick` renews the date line, once a second is enough."""

    __slots__ = ("_date", "_json", "_second", "date")

    def __init__(self) -> None:
        self._second = -1
        self._date = b""
        self._json = b""  # the usual answer, but for its length, its other headers, its body
        self.date = b""
        """The date's value alone, for HTTP/2."""

    def tick(self, epoch: float) -> None:
        """Set the date that heads carry (RFC 9110, section 6.6.1)."""
        if int(epoch) != self._second:
            self._second = int(epoch)
            self.date = formatdate(epoch, usegmt=True).encode()
            self._date = b"date: " + self.date + b"\r\n"
            fields = b"content-type: " + _JSON + b"\r\ncontent-length: %d\r\n%b\r\n%b"
            self._json = _STATUS_LINES[200] + self._date + fields

    def render_usual(self, response: Response) -> bytes | None:
        """Return head and body of what nearly all answers are, JSON that is there; else None."""
        status, body, content_type, headers, _, chunks = response
        if status != 200 or content_type != _JSON or chunks is not None or not self._json:
            return None
        if len(headers) == 1:
            return self._json % (len(body), _line(*headers[0]), body)
        return self._json % (len(body), b"".join([_line(*pair) for pair in headers]), body)

    def render(self, response: Response, *, close: bool, close_ends: bool = False) -> bytes:
        """Return status line and headers, up to and including the blank line.

        `close_ends`: the end of chunks is told by closing, as HTTP/1.0 knows no other way.
        """
        status, body, content_type, headers, _, chunks = response
        line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        parts = [line, self._date]
        if content_type:
            parts.append(b"content-type: " + content_type + b"\r\n")
        if chunks is not None:
            parts.append(b"" if close_ends else b"transfer-encoding: chunked\r\n")
        elif status >= 200 and status != 204:
            parts.append(b"content-length: %d\r\n" % len(body))
        for name, value in headers:
            parts.append(_line(name, value))
        parts.append(b"connection: close\r\n\r\n" if close else b"\r\n")
        return b"".join(parts)


def _line(name: bytes, value: bytes) -> bytes:
    """Return one header line; a line break in it would let a model write headers of its own."""
    line = name + b": " + value
    if _LF in line or _CR in line or 0 in line:  # by number: seven times quicker than by bytes
        raise ValueError(
            f'response header "{name.decode("latin-1")}" holds a line break in its value; '
            "send the value without it"
        )
    return line + b"\r\n"
