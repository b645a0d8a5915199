"""A resource with more objects than a page holds is never in memory as a whole."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sampan.machinery.clock import SystemClock
from sampan.operator.cache import Cache, make_trim
from sampan.operator.cluster import RESOURCES
from sampan.operator.cluster_store import PAGE, ClusterStore
from sampan.operator.following import Followed, Following
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS

COUNT = 2 * PAGE + 1


class Metadata(dict):  # type: ignore[type-arg]  # what answers are made of, known by a weak reference
    pass


class Pages:
    """An API server with Deployments, which looks what of its answers is still there."""

    def __init__(self) -> None:
        self.told: list[weakref.ref[Metadata]] = []
        self.left: list[int] = []

    async def call(
        self, _method: str, _path: str, query: Mapping[str, str] | None = None, *_: Any
    ) -> dict[str, Any]:
        query = query or {}
        start, size = int(query.get("continue", 0)), int(query["limit"])
        self.left.append(sum(known() is not None for known in self.told))
        end = min(start + size, COUNT)
        items = [self._make(number) for number in range(start, end)]
        self.told += [weakref.ref(item["metadata"]) for item in items]
        more = {"continue": str(end)} if end < COUNT else {}
        return {"items": items, "metadata": {"resourceVersion": "7", **more}}

    def _make(self, number: int) -> dict[str, Any]:
        metadata = Metadata(name=f"d-{number}", namespace="ml", resourceVersion=str(number))
        return {"metadata": metadata, "spec": {"replicas": number}}

    @asynccontextmanager
    async def stream(self, *_: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        async def nothing() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        yield nothing()

    async def close(self) -> None:
        pass


async def test_of_a_list_no_more_than_a_page_is_decoded():
    pages, cache = Pages(), Cache(make_trim())
    store = ClusterStore(pages, RESOURCES)
    told: list[str] = []
    followed = Followed(DEPLOYMENTS, cache, lambda obj: told.append(obj["metadata"]["name"]))
    following = Following(store, SystemClock(), followed)
    running = asyncio.create_task(following.run())
    try:
        await asyncio.wait_for(following.known.wait(), 20)
    finally:
        running.cancel()
    assert len(cache) == len(told) == COUNT
    assert cache.get("ml", f"d-{PAGE}")["spec"] == {"replicas": PAGE}
    assert pages.left == [0, 0, 0, 0], "a call whether the kind is there, then three pages"
