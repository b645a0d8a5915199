"""Sending events of the log to an address, each as a CloudEvent (KServe, request logger)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from sampan.agent.events import Event, Origin, render_headers
from sampan.agent.log import Trouble
from sampan.agent.waiting import result_of
from sampan.machinery.web_address import WebAddress
from sampan.wire.upstream import Pool
from sampan.wire.upstream_answer import Answer, CallFailed

_SECONDS = 30.0  # for the sink's answer
_LATER = frozenset({408, 425, 429})
"""Of refusals those that say to ask again (RFC 9110, 15.5.9; RFC 8470; RFC 6585)."""
_HEAD = b"POST %b HTTP/1.1\r\nhost: %b\r\n%b\r\ncontent-length: %d\r\n\r\n"


class EventSink:
    """One address. Made and used on its loop's thread."""

    def __init__(self, pool: Pool, address: WebAddress, origin: Origin) -> None:
        self._pool = pool
        self._address = address
        self._origin = origin

    async def deliver(self, events: Sequence[Event]) -> Trouble | None:
        """Send events one after the other; tell what went wrong with the first that did not go."""
        for event in events:
            trouble = describe(await self._post(event))
            if trouble is not None:
                return trouble
        return None

    async def _post(self, event: Event) -> Answer | CallFailed:
        fields = render_headers(event, self._origin, time.time())
        lines = b"\r\n".join(f"{name}: {value}".encode("latin-1") for name, value in fields)
        address = self._address
        head = _HEAD % (address.target, address.authority, lines, len(event.body))
        return await result_of(partial(self._pool.call, head, event.body, _SECONDS))


def describe(result: Answer | CallFailed, who: str = "the sink") -> Trouble | None:
    """Return why a server has not taken what it was sent; None where it has. Pure."""
    if isinstance(result, CallFailed):
        return Trouble(result.message)
    if 200 <= result.status < 300:
        return None
    lasts = result.status < 500 and result.status not in _LATER
    return Trouble(f"{who} answered {result.status}", lasts=lasts)
