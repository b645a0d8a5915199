"""Short answers of a source's own API: asked for, read whole, and tried again like a download."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.storage.base import StorageError
from sampan.storage.http_status import make_status_error
from sampan.storage.job import Job
from sampan.storage.network import Arrived, open_answer
from sampan.storage.reporter import Reporter
from sampan.storage.retry import try_patiently
from sampan.storage.source import Source

MAX_ANSWER_BYTES = 64 * 1024**2
"""A list of 100,000 files takes some 30 MB; beyond is no list of a model's files."""

_UNAVAILABLE = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was read. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


async def ask(
    source: Source,
    parts: tuple[Job, Reporter],
    attempts: int,
    headers: Mapping[str, str] | None = None,
    most: int = MAX_ANSWER_BYTES,
) -> Reply:
    """Return the answer at a URL, whatever its status; raise StorageError.

    Statuses that say "not now" are tried again, `attempts` times in all.
    """
    job, _ = parts
    arrived = Arrived()

    async def attempt() -> Reply:
        arrived.count = 0
        reply = await _ask(source, headers or {}, job, arrived, most)
        if reply.status in _UNAVAILABLE:
            raise make_status_error(source.shown, reply.status, reply.headers)
        return reply

    return await try_patiently(attempt, lambda: 0, parts, attempts)


async def _ask(
    source: Source, headers: Mapping[str, str], job: Job, arrived: Arrived, most: int
) -> Reply:
    asked = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "sampan", **headers}
    body = bytearray()
    async with open_answer(source, asked, job, arrived) as answer:
        async for chunk in answer.body:
            body += chunk
            if len(body) > most:
                raise StorageError(
                    "UnexpectedContent",
                    f'"{source.shown}" answered with more than {most} bytes where a short answer '
                    "is due; check that the address is that of the service itself",
                )
        return Reply(answer.status, answer.headers, bytes(body))


def decode_json(reply: Reply, source: Source) -> Any:
    """Return what a reply says; raise StorageError for what is no JSON. Pure."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        raise StorageError(
            "UnexpectedContent",
            f'"{source.shown}" answered with what is no JSON (status {reply.status}); '
            "check that the address is that of the service itself, and not of a page before it",
        ) from None
