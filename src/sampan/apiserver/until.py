"""Reading an endless iterator until something else happens: the end of a watch or of a log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

T = TypeVar("T")


async def until(items: AsyncIterator[T], over: asyncio.Future[Any]) -> AsyncGenerator[T, None]:
    """Yield items until they end or `over` is done; `items` is closed, `over` is cancelled.

    Waiting for an item is a timeout that `over` sets to now: a task for each item of each of fifty
    watchers would cost more than all else that is done for them.
    """
    waiting: asyncio.Timeout | None = None

    def end(_: asyncio.Future[Any]) -> None:
        if waiting is not None:
            waiting.reschedule(asyncio.get_running_loop().time())

    over.add_done_callback(end)
    try:
        with contextlib.suppress(StopAsyncIteration):
            while not over.done():
                try:
                    async with asyncio.timeout(None) as waiting:
                        item = await anext(items)
                except TimeoutError:
                    if waiting is not None and waiting.expired():
                        return
                    raise
                finally:
                    # `end` may be on the loop's list by now, and a timeout that is over cannot
                    # be set anew.
                    waiting = None
                yield item
    finally:
        over.remove_done_callback(end)
        over.cancel()
        if isinstance(items, AsyncGenerator):
            await items.aclose()


async def next_or_end(items: AsyncIterator[T]) -> tuple[bool, T | None]:
    """Return whether there was another item, and it: StopAsyncIteration may not leave a task."""
    try:
        return True, await anext(items)
    except StopAsyncIteration:
        return False, None
