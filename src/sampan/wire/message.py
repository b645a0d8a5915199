"""A request and a response as values: what every transport hands to the application and back.

HTTP/1.1 today, HTTP/2 as its sibling: the application sees the same values from either.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, TypeAlias

HeaderList: TypeAlias = "list[tuple[bytes, bytes]]"
"""Headers in the order of the wire; names in lower case, values without surrounding blanks."""


class Note:
    """A place for what an application worked out from a head, kept as long as the head is known.

    Requests share it whose heads differ in nothing but the values of `known_head.VARYING`.
    """

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = None


class Request:
    """A complete request: its body has arrived. (Plain slots: the cheapest value to make.)

    `target` is the request target as sent, query included. `note` is there where the head is one
    that the connection knows; `texts` are then its headers as text, which many requests share.
    """

    __slots__ = ("_shared", "_texts", "body", "headers", "keep_alive", "method", "note", "target")

    def __init__(  # noqa: PLR0913, PLR0917  # the parts of a request
        self,
        method: bytes,
        target: bytes,
        headers: HeaderList,
        body: bytes,
        keep_alive: bool = True,
        note: Note | None = None,
        texts: dict[str, str] | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive
        self.note = note
        self._shared = texts
        self._texts: dict[str, str] | None = None

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of this (lower-case) name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def add(self, name: bytes, value: bytes) -> None:
        """Add a header, as if it had been sent."""
        texts = self.texts() if self._shared is not None else self._texts
        self.headers.append((name, value))
        if texts is not None:
            texts[name.decode("latin-1")] = value.decode("latin-1")

    def texts(self) -> dict[str, str]:
        """Return the headers as text: one dict for all who ask, of a repeated one the last."""
        if self._texts is None:
            if self._shared is not None:  # copied when it is asked for: not every request is
                self._texts = self._shared.copy()
            else:
                pairs = self.headers
                self._texts = {k.decode("latin-1"): v.decode("latin-1") for k, v in pairs}
        return self._texts

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.target!r}, {len(self.body)} bytes)"


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

    def field(self, name: bytes) -> bytes | None:
        """Return the first header or trailer of this (lower-case) name, or None.

        gRPC tells its status in trailers, or where it says nothing else in headers.
        """
        fields = (*self.headers, *self.trailers)
        return next((value for key, value in fields if key == name), None)


Reply: TypeAlias = Callable[[Response], None]
"""Sends the answer. Called once, on the loop's thread, at once or later; more calls do nothing."""

Submit: TypeAlias = Callable[[Request, Reply], None]
"""The application: takes a request and returns soon; answers through the `Reply`."""
