"""A store that lives as long as its process: for tests, and for `sampan run`."""

from __future__ import annotations

from sampan.machinery.clock import Clock
from sampan.machinery.history import Change
from sampan.machinery.registry import Registry
from sampan.machinery.store import StoreLimits
from sampan.machinery.store_engine import Contents, StoreEngine

DEFAULT_LIMITS = StoreLimits()


class NoJournal:
    """Keeps nothing."""

    async def append(self, changes: list[Change]) -> None:
        """Return at once."""

    async def close(self) -> None:
        """Hold nothing."""


class MemoryStore(StoreEngine):
    """The `Store` contract in memory. Belongs to one event loop."""

    def __init__(
        self, registry: Registry, clock: Clock, limits: StoreLimits = DEFAULT_LIMITS
    ) -> None:
        super().__init__(registry, clock, limits, NoJournal(), Contents())
