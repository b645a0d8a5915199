"""Ending a task: it has gone afterwards, and who ends it can be ended meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from sampan.machinery.ending import end_task


async def linger(gone: asyncio.Event) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        await gone.wait()


async def test_a_task_that_is_ended_has_gone():
    gone = asyncio.Event()
    task = asyncio.create_task(linger(gone))
    await asyncio.sleep(0)
    gone.set()
    await end_task(task)
    assert task.cancelled()


async def test_what_a_task_raises_at_its_end_is_raised():
    async def fails() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise OSError("the disk is full") from None

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="full"):
        await end_task(task)


async def test_who_is_cancelled_while_ending_another_is_cancelled_once_that_one_has_gone():
    gone = asyncio.Event()
    task = asyncio.create_task(linger(gone))
    await asyncio.sleep(0)
    ending = asyncio.create_task(end_task(task))
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.sleep(0)
    assert not ending.done()
    gone.set()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert task.cancelled()
