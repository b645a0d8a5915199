"""A bucket as a store of the log. It is opened with the first batch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sampan.agent.log import Trouble
from sampan.agent.store_sink import Put
from sampan.storage.base import StorageError
from sampan.storage.objects.store import Place
from sampan.storage.writing import Writer, open_writer


def make_object_put(place: Place, environment: Mapping[str, str]) -> Put:
    """Return what writes objects into a bucket, by the credentials in a pod's variables."""
    opened: list[Writer] = []
    opening = asyncio.Lock()

    async def put(key: str, content: bytes) -> Trouble | None:
        try:
            async with opening:
                if not opened:
                    opened.append(await open_writer(place, environment))
            await opened[0].put(key, content)
        except StorageError as error:
            return Trouble(str(error), lasts=not error.retryable)
        return None

    return put
