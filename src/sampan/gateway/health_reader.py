"""Reading from Envoy which endpoints are healthy, at the cost of what has changed.

What Envoy says of a thousand clusters is two megabytes, most of it the same each second. So it is
asked how many members of each are healthy, and of those alone that have other ones, for each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

import orjson

from sampan.gateway.health import (
    MEMBERS_PATH,
    Health,
    Members,
    make_clusters_path,
    make_health,
    make_members,
    merge_health,
    select_unclear,
)


class HealthReader:
    """Reads one Envoy's view; `ask` returns what its admin interface answers to a path.

    Who gives Envoy other endpoints tells it by `forget`, as their number may stay the same.
    """

    def __init__(self, ask: Callable[[str], Awaitable[bytes]]) -> None:
        self._ask = ask
        self._members_text = b""
        self._members: Mapping[str, Members] = {}
        self._health: Health = {}
        self._forgotten: set[str] = set()
        self._lives = 0
        """How often everything was forgotten: an answer from before tells nothing of after."""

    def forget(self, names: Iterable[str]) -> None:
        """Ask for these clusters again."""
        self._forgotten.update(names)

    def forget_all(self) -> None:
        """Ask for everything again: it is another Envoy."""
        self._lives += 1
        self._members_text, self._members = b"", {}

    async def read(self) -> Health:
        """Return the health of every endpoint; the same value while nothing changes.

        Raise OSError or TimeoutError, and then everything is asked for the next time.
        """
        before, text, forgotten = self._members, self._members_text, self._forgotten
        self._forgotten = set()
        self.forget_all()
        life = self._lives
        told = await self._ask(MEMBERS_PATH)
        members = before if told == text else make_members(before, text, told)
        unclear = select_unclear(before, members) | (forgotten & members.keys())
        fresh: Health = {}
        if unclear:
            fresh = make_health(orjson.loads(await self._ask(make_clusters_path(unclear))))
        self._health = merge_health(self._health, fresh, members)
        self._forgotten |= unclear - fresh.keys()  # those that Envoy does not use yet
        if life == self._lives:
            self._members_text, self._members = told, members
        return self._health
