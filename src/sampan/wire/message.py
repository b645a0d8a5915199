"""A request and a response as values: what every transport hands to the application and back.

HTTP/1.1 today, HTTP/2 as its sibling: the application sees the same values from either.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, TypeAlias

HeaderList: TypeAlias = "list[tuple[bytes, bytes]]"
"""Headers in the order of the wire; names in lower case, values without surrounding blanks."""


class Request(NamedTuple):
    """A complete request: its body has arrived. (A NamedTuple: cheapest frozen value to make.)

    `target` is the request target as sent, query included.
    """

    method: bytes
    target: bytes
    headers: HeaderList
    body: bytes
    keep_alive: bool = True

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of this (lower-case) name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Response(NamedTuple):
    """A response. An empty `content_type` sends none; HTTP/1.1 sends no `trailers`.

    With `chunks` the body is not `body` but what they yield, sent piece by piece as it comes. They
    are closed (`aclose`, where they have it) when all is sent and when the peer leaves before.
    """

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    trailers: tuple[tuple[bytes, bytes], ...] = ()
    chunks: AsyncIterator[bytes] | None = None


Reply: TypeAlias = Callable[[Response], None]
"""Sends the answer. Called once, on the loop's thread, at once or later; more calls do nothing."""

Submit: TypeAlias = Callable[[Request, Reply], None]
"""The application: takes a request and returns soon; answers through the `Reply`."""
