"""A watch as lines of JSON: `{"type": ..., "object": ...}`, until its time is up or we stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

import orjson

from sampan.apiserver.until import until
from sampan.machinery.errors import ApiError
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Event, EventType

DEFAULT_SECONDS = 3600.0  # upstream ends watches after 30 to 60 minutes; clients start them again
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class WatchLines:
    """How one watch is written.

    `show` gives each object its form, None: as it is stored; `initial_events` marks the bookmark
    behind the first state (KEP-3157); `stopping` ends the watch when the server does.
    """

    show: Callable[[JsonObject], JsonObject] | None
    stopping: asyncio.Event
    seconds: float = DEFAULT_SECONDS
    initial_events: bool = False

    async def render(self, events: AsyncIterator[Event]) -> AsyncGenerator[bytes, None]:
        """Yield a line for each event; an error of the store is the last line (type ERROR)."""
        mark = self.initial_events
        try:
            over = asyncio.ensure_future(_wait(self.stopping, self.seconds))
            async with contextlib.aclosing(until(events, over)) as stream:
                async for event in stream:
                    if mark and event.type is EventType.BOOKMARK:
                        mark = False
                        yield _line(event.type, orjson.dumps(_marked(event.object)))
                    else:
                        yield _line(event.type, self._shown(event))
        except ApiError as error:
            yield _line("ERROR", orjson.dumps(error.status()))

    def _shown(self, event: Event) -> bytes:
        # A bookmark is metadata only: as a Table it would be a row of empty cells.
        if self.show is not None and event.type is not EventType.BOOKMARK:
            return orjson.dumps(self.show(event.object))
        return event.data or orjson.dumps(event.object)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _marked(bookmark: JsonObject) -> JsonObject:
    meta = {**bookmark["metadata"], "annotations": {INITIAL_EVENTS_END: "true"}}
    return {**bookmark, "metadata": meta}


def _line(kind: str, obj: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), obj)
