"""Access tokens (OAuth 2.0): asked for once, and anew when they are about to end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlencode

from sampan.storage.base import StorageError
from sampan.storage.job import Job
from sampan.storage.objects.answers import read_refusal
from sampan.storage.objects.channel import Ask, Channel, Reply
from sampan.storage.objects.environment import make_settings_error

_EARLY_SECONDS = 300.0
"""A token is renewed this long before it ends: it is sent after it was looked at."""

Obtain: TypeAlias = Callable[[], Awaitable[tuple[str, float]]]
"""Asks for a token; returns it and the seconds that it lives."""


class Tokens:
    """A token that is kept until it is about to end. Several may ask at once."""

    def __init__(self, job: Job, obtain: Obtain) -> None:
        self._clock = job.world.clock
        self._obtain = obtain
        self._lock = asyncio.Lock()
        self._token = ""
        self._ends = 0.0

    async def token(self) -> str:
        """Return a token that is valid for a while; raise StorageError."""
        async with self._lock:
            if self._clock.now() > self._ends - _EARLY_SECONDS or not self._token:
                self._token, lives = await self._obtain()
                self._ends = self._clock.now() + lives
            return self._token


async def post_form(job: Job, url: str, form: Mapping[str, str], about: str) -> tuple[str, float]:
    """Ask a token endpoint (RFC 6749, 4 and 5); raise StorageError naming what it refused."""
    content = urlencode(form).encode()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(content)),
    }
    reply = await send(job, Ask(url, headers, method="POST", content=content), about)
    return read_token(reply, about)


async def send(job: Job, asked: Ask, about: str) -> Reply:
    """Return the answer to one request on a connection of its own; raise StorageError."""
    channel = Channel(job, about)
    try:
        return await channel.read(asked)
    finally:
        await channel.close()


def read_token(reply: Reply, about: str) -> tuple[str, float]:
    """Return the token of an answer and how long it lives; raise StorageError."""
    try:
        if reply.status == 200:
            told = json.loads(reply.body)
            return str(told["access_token"]), float(told.get("expires_in") or 3600)
    except (ValueError, KeyError, TypeError):
        pass
    code, message = read_refusal(reply.headers, reply.body)
    told_of = ": ".join(text for text in (f"status {reply.status}", code, message) if text)
    waits = reply.status in {429, 500, 502, 503, 504}
    raise StorageError(
        "SourceUnavailable" if waits else "AuthenticationFailed",
        f"authentication failed: {about} gave no token ({told_of}); check these credentials and "
        "whether they are still valid",
        retryable=waits,
    )


def allowing(job: Job, host: str, seconds: float) -> Job:
    """Return a job that may ask one fixed address of the cloud's machine, and waits little."""
    options = replace(
        job.options,
        allowed_private_hosts=(host, "169.254.169.254"),
        connect_seconds=seconds,
        stall_seconds=seconds,
    )
    return replace(job, options=options)


async def read_file(job: Job, path: str, variable: str) -> str:
    """Return a file that a variable names: one that was handed over, else of this machine."""
    if path in job.options.files:
        return job.options.files[path]
    try:
        return await asyncio.to_thread(Path(path).read_text)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no text"
        raise make_settings_error(
            f'{variable} names "{path}", which cannot be read ({why}); mount it, or correct the '
            "variable"
        ) from None
