"""Blocking work beside the event loop that ends when its caller is cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def run_blocking(work: Callable[[threading.Event], T]) -> T:
    """Return what `work(stop)` returns, run on a thread.

    When the caller is cancelled, `stop` is set and the thread is waited for: the folder that it
    writes to belongs to the caller's lock, which must not be given away before.
    """
    stop = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        with suppress(Exception):
            await task
        raise
