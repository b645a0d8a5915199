"""The body of an answer that is passed on as it comes: an event stream, piece by piece."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from sampan.wire.upstream_answer import CallFailed

_HIGH = 256 * 1024  # bytes that nobody has taken yet; above them the server is not read on
_STREAMS = frozenset({b"text/event-stream", b"application/x-ndjson", b"application/jsonl"})


def is_stream(content_type: bytes) -> bool:
    """Tell whether a body of this type means something before it is whole."""
    return content_type.partition(b";")[0].strip().lower() in _STREAMS


class Source(Protocol):
    """The connection that a body comes from."""

    def pause(self) -> None:
        """Read nothing more for now."""

    def resume(self) -> None:
        """Read on."""

    def cancel(self) -> None:
        """End the connection: nobody wants the rest."""


class StreamedBody:
    """What comes of a body; iterating ends with it, and raises CallFailed where it broke off."""

    def __init__(self, source: Source) -> None:
        self._source: Source | None = source
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._failure: CallFailed | None = None
        self._came = asyncio.Event()
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()
        """What was said after it; there once it has ended."""

    def add(self, piece: bytes) -> None:
        """Take what has come."""
        if not piece:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        self._came.set()
        if self._size > _HIGH and not self._paused and self._source is not None:
            self._paused = True
            self._source.pause()

    def end(
        self, failure: CallFailed | None, trailers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """No more comes: it is whole, or it broke off."""
        self._source = None
        self.trailers = trailers
        self._failure = failure
        self._came.set()

    def __aiter__(self) -> StreamedBody:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._source is None:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._came.clear()
            await self._came.wait()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._paused and self._size <= _HIGH // 2 and self._source is not None:
            self._paused = False
            self._source.resume()
        return piece

    async def aclose(self) -> None:
        """Want no more: the call is off."""
        source, self._source = self._source, None
        self._pieces.clear()
        if source is not None:
            source.cancel()
