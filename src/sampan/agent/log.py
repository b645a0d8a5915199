"""The request log: events wait here until workers have sent them. Serving never waits for it.

KServe, request logger, blocks requests once a hundred events wait; here what goes beyond the
limits is dropped, counted and told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from functools import partial

from sampan.agent.events import Event, Origin, render_headers
from sampan.agent.waiting import result_of
from sampan.machinery.web_address import WebAddress
from sampan.wire.upstream import Pool
from sampan.wire.upstream_answer import Answer, CallFailed

logger = logging.getLogger("sampan.agent")

_MOST_BYTES = 64 * 1024 * 1024  # of payloads that wait: as much as one request may have
_MOST_EVENTS = 10_000
_SECONDS = 30.0  # for the sink's answer
_PAUSES = (0.2, 1.0, None)
"""Seconds before an event is sent again; after the last it is dropped."""
_TELL_SECONDS = 10.0
_HEAD = b"POST %b HTTP/1.1\r\nhost: %b\r\n%b\r\ncontent-length: %d\r\n\r\n"


class Log:
    """Sends events to one sink. Made and used on its loop's thread; `run` does the work."""

    def __init__(self, pool: Pool, address: WebAddress, origin: Origin, workers: int) -> None:
        self.origin = origin
        self._pool = pool
        self._address = address
        self._workers = workers
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._came = asyncio.Semaphore(0)
        self._left = 0  # events that wait or are being sent
        self._empty = asyncio.Event()
        self._empty.set()
        self._dropped = 0
        self._told_at = -_TELL_SECONDS
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]

    def add(self, event: Event) -> None:
        """Take an event."""
        size = len(event.body)
        if len(self._waiting) >= _MOST_EVENTS or self._bytes + size > _MOST_BYTES:
            self._drop(f"{len(self._waiting)} events wait already")
            return
        self._bytes += size
        self._waiting.append(event)
        self._left += 1
        self._empty.clear()
        self._came.release()

    async def close(self, seconds: float) -> None:
        """Send what waits, for so long at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._left:
            logger.warning("%s events were not sent before the end", len(self._waiting))

    async def _work(self) -> None:
        while True:
            await self._came.acquire()
            event = self._waiting.popleft()
            try:
                await self._send(event)
            finally:
                self._bytes -= len(event.body)
                self._left -= 1
                if not self._left:
                    self._empty.set()

    async def _send(self, event: Event) -> None:
        for pause in _PAUSES:
            result = await self._post(event)
            trouble = _describe(result)
            if not trouble:
                return
            refused = isinstance(result, Answer) and result.status < 500
            if pause is None or refused:
                self._drop(trouble)
                return
            await asyncio.sleep(pause)

    async def _post(self, event: Event) -> Answer | CallFailed:
        fields = render_headers(event, self.origin, time.time())
        lines = b"\r\n".join(f"{name}: {value}".encode("latin-1") for name, value in fields)
        address = self._address
        head = _HEAD % (address.target, address.authority, lines, len(event.body))
        return await result_of(partial(self._pool.call, head, event.body, _SECONDS))

    def _drop(self, why: str) -> None:
        """Count an event that nobody gets, and tell it now and then."""
        self._dropped += 1
        now = time.monotonic()
        if now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            logger.warning("%s events of the log were dropped so far: %s", self._dropped, why)


def _describe(result: Answer | CallFailed) -> str:
    """Return why a sink has not taken an event, empty where it has."""
    if isinstance(result, CallFailed):
        return result.message
    if 200 <= result.status < 300:
        return ""
    return f"the sink answered {result.status}"
