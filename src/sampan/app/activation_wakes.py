"""Waking by an activator that does not decide: whoever holds a request may write the first replica.

It is written over a Deployment of none alone: the one who decides may have given more meanwhile. He
sees it, and goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from sampan.app.activation_scales import ScaleWriter, Wanted
from sampan.operator.serverless import ServerlessCluster
from sampan.platforms.kubernetes.serverless_table import Served


class Wakes:
    """Writes the first replica of what is asked for, until it is there. `find` tells what is still
    to be woken.
    """

    def __init__(self, writer: ScaleWriter, find: Callable[[str], Served | None]) -> None:
        self._writer = writer
        self._find = find
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def look(self, cluster: ServerlessCluster, workloads: Iterable[str]) -> None:
        """Begin to wake those of these workloads that are to be woken."""
        for key in workloads:
            if key not in self._under_way and self._find(key) is not None:
                self._under_way[key] = asyncio.create_task(self._wake(cluster, key))

    async def _wake(self, cluster: ServerlessCluster, key: str) -> None:
        try:
            await self._write(cluster, key)
        finally:
            del self._under_way[key]

    async def _write(self, cluster: ServerlessCluster, key: str) -> None:
        while (one := self._find(key)) is not None:
            wanted = [Wanted(one, 1, as_seen=True)]
            again = await self._writer.write(cluster, wanted, lambda: self._find(key) is not None)
            if again is None:
                return  # the watch tells of it
            await asyncio.sleep(again)
        self._writer.forget(key)
