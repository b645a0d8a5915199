"""A small registry, a clock that tests move, and a store over both."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator

import pytest

from sampan.machinery.registry import Registry, Resource
from sampan.machinery.store_memory import MemoryStore

REGISTRY = Registry(
    (
        Resource("", "v1", "ConfigMap", "configmaps", generation=False),
        Resource("", "v1", "Event", "events", generation=False),
        Resource("", "v1", "Namespace", "namespaces", namespaced=False, generation=False),
        Resource("boats.dev", "v1", "Sampan", "sampans", status_subresource=True),
        Resource("boats.dev", "v1", "Oar", "oars"),
    )
)


class Tide:
    """A clock that stands until it is moved; sleepers wake in order, each at its time."""

    def __init__(self) -> None:
        self._now = 1_700_000_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + seconds, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, letting each sleeper do its work at its own time."""
        end = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            when, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, when)
            if not future.done():
                future.set_result(None)
                await settle()
        self._now = end


async def settle() -> None:
    """Let everything that can run do so."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Tide:
    return Tide()


@pytest.fixture
def registry() -> Registry:
    return REGISTRY


@pytest.fixture
async def store(clock: Tide) -> AsyncIterator[MemoryStore]:
    store = MemoryStore(REGISTRY, clock)
    yield store
    await store.close()
