"""An endless iterator is read until something else happens, whatever ends first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import pytest

from sampan.apiserver.until import until


class Fed:
    """Items that somebody else brings; None: there are no more."""

    def __init__(self, *items: str | None) -> None:
        self.queue: asyncio.Queue[str | None] = asyncio.Queue()
        for item in items:
            self.queue.put_nowait(item)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        item = await self.queue.get()
        if item is None:
            raise StopAsyncIteration
        return item


@pytest.fixture
async def complaints():
    """What the loop was told of while a test ran."""
    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(context))
    yield told
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert not told


async def read(items: Fed, over: asyncio.Future[None]) -> list[str]:
    async with aclosing(until(items, over)) as found:
        return [item async for item in found]


async def test_items_are_read_until_it_is_over(complaints):
    over = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(read(Fed("a", "b"), over))
    await asyncio.sleep(0.01)
    over.set_result(None)
    assert await asyncio.wait_for(reading, 20) == ["a", "b"]


async def test_what_ends_by_itself_calls_off_what_was_waited_for(complaints):
    over = asyncio.get_running_loop().create_future()
    assert await read(Fed("a", None), over) == ["a"]
    assert over.cancelled()


async def test_it_may_be_over_in_the_moment_in_which_the_items_end(complaints):
    over = asyncio.get_running_loop().create_future()
    items = Fed()
    reading = asyncio.create_task(read(items, over))
    await asyncio.sleep(0.01)
    items.queue.put_nowait(None)
    over.set_result(None)  # the reader is woken for both at once
    assert await asyncio.wait_for(reading, 20) == []


async def test_it_may_be_over_in_the_moment_in_which_the_reader_is_cancelled(complaints):
    over = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(read(Fed(), over))
    await asyncio.sleep(0.01)
    reading.cancel()
    over.set_result(None)
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(reading, 20)


async def test_an_item_that_times_out_is_no_end(complaints):
    class Late(Fed):
        async def __anext__(self) -> str:
            raise TimeoutError("the store")

    over = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError, match="the store"):
        await read(Late(), over)
