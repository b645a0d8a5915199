"""A call that tells by a callback, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def result_of(start: Callable[[Callable[[T], None]], Callable[[], None]]) -> T:
    """Start a call and return what it tells; where the waiting task is cancelled, call it off."""
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def tell(result: T) -> None:
        if not answer.done():
            answer.set_result(result)

    cancel = start(tell)
    try:
        return await answer
    except asyncio.CancelledError:
        cancel()
        raise
