"""Reading an endless iterator until something else happens: the end of a watch or of a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

T = TypeVar("T")


async def until(items: AsyncIterator[T], over: asyncio.Future[Any]) -> AsyncGenerator[T, None]:
    """Yield items until they end or `over` is done; `items` is closed, `over` is cancelled."""
    try:
        while not over.done():
            coming = asyncio.ensure_future(next_or_end(items))
            try:
                await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not coming.done():
                    coming.cancel()
                    await asyncio.gather(coming, return_exceptions=True)
            if coming.cancelled():
                return
            more, item = coming.result()
            if not more or item is None:
                return
            yield item
    finally:
        over.cancel()
        if isinstance(items, AsyncGenerator):
            await items.aclose()


async def next_or_end(items: AsyncIterator[T]) -> tuple[bool, T | None]:
    """Return whether there was another item, and it: StopAsyncIteration may not leave a task."""
    try:
        return True, await anext(items)
    except StopAsyncIteration:
        return False, None
