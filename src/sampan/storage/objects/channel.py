"""The connections of one fetch to a store: checked addresses, kept open between requests.

Signed requests go to one host; a redirect would carry credentials elsewhere, so none is followed.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpcore

from sampan.storage.base import StorageError
from sampan.storage.job import Job
from sampan.storage.network import (
    Answer,
    Arrived,
    CheckedBackend,
    ask,
    count_bytes,
    host_header,
    lower_names,
    make_trouble,
    tls_context,
)
from sampan.storage.source import Source

_MOST_BYTES = 32 * 1024**2
"""Of an answer that is held in memory: a page of a listing has at most 5000 names."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `url` may hold a signature and `headers` a token: neither is shown."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "GET"
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Channel:
    """A pool of connections; `shown` is what errors call the source. Close it in the end."""

    def __init__(self, job: Job, shown: str, context: ssl.SSLContext | None = None) -> None:
        self.job = job
        self._shown = shown
        self._pool = httpcore.AsyncConnectionPool(
            context or tls_context(), network_backend=CheckedBackend(job), max_connections=32
        )

    async def close(self) -> None:
        """End the connections."""
        await self._pool.aclose()

    @asynccontextmanager
    async def stream(self, asked: Ask) -> AsyncIterator[Answer]:
        """Send a request; its body is read in the caller's block. Raise StorageError."""
        arrived = Arrived()
        source = Source(url=asked.url, shown=self._shown, name="", query="", sha256="")
        headers = {"Host": host_header(asked.url), "User-Agent": "sampan", **asked.headers}
        try:
            async with ask(
                self._pool, asked.url, headers, self.job, asked.method, asked.content
            ) as response:
                body = count_bytes(response, arrived)
                yield Answer(response.status, lower_names(response.headers), body)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise make_trouble(source, error, self.job, arrived) from error

    async def read(self, asked: Ask) -> Reply:
        """Send a request and return the whole answer, whatever its status. Raise StorageError."""
        async with self.stream(asked) as answer:
            return Reply(answer.status, answer.headers, await read_body(answer, self._shown))


async def read_body(answer: Answer, shown: str) -> bytes:
    """Return the bytes of a body that is held in memory; raise StorageError for too many."""
    body = bytearray()
    async for chunk in answer.body:
        body += chunk
        if len(body) > _MOST_BYTES:
            raise StorageError(
                "UnexpectedContent",
                f'an answer about "{shown}" has more than {_MOST_BYTES} bytes, which no listing '
                "has; look at what answers at its endpoint",
            )
    return bytes(body)
