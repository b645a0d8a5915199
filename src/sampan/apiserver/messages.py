"""What the wire hands to the API server and gets back: one request, one reply, no sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import orjson

from sampan.machinery.errors import ApiError

JSON = "application/json"
MAX_WARNINGS = 50  # clients take a limited number of headers: Python's own 100


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read whole.

    `path` is the path as sent, still percent-encoded, without the query. `query` keeps the last of
    repeated parameters. Header names are lower-case.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return a header's value, empty where it was not sent."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer: `body` at once, or `stream` piece by piece until it ends."""

    code: int = HTTPStatus.OK
    body: bytes = b""
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncIterator[bytes] | None = None


def make_reply(
    body: Any, code: int = HTTPStatus.OK, *, media_type: str = JSON, warnings: tuple[str, ...] = ()
) -> Reply:
    """Return a JSON reply; each warning becomes a `Warning` header."""
    left = len(warnings) - MAX_WARNINGS
    told = (*warnings[:MAX_WARNINGS], f"and {left} more warnings") if left > 0 else warnings
    headers = tuple(("Warning", render_warning(w)) for w in told)
    return Reply(code, orjson.dumps(body), media_type, headers)


def make_text(text: str, code: int = HTTPStatus.OK) -> Reply:
    """Return a plain text reply."""
    return Reply(code, text.encode(), "text/plain; charset=utf-8")


def make_error(error: ApiError, warnings: tuple[str, ...] = ()) -> Reply:
    """Return the `Status` reply of an error."""
    reply = make_reply(error.status(), error.code, warnings=warnings)
    if error.code != HTTPStatus.UNAUTHORIZED:
        return reply
    challenge = ("WWW-Authenticate", 'Bearer realm="sampan"')
    return replace(reply, headers=(*reply.headers, challenge))


def render_warning(text: str) -> str:
    """Return the value of a `Warning` header, `299 - "text"` (RFC 7234, section 5.5).

    Control characters become spaces and other than ASCII is percent-free escaped, since header
    values are bytes: client-go prints what stands between the quotes.
    """
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    safe = flat.encode("ascii", "backslashreplace").decode()
    quoted = safe.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'
