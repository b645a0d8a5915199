"""How a task is ended by another without losing that other's own end."""

from __future__ import annotations

import asyncio
from typing import Any


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has gone; raise what it ended with, but its cancellation.

    `with suppress(CancelledError): await task` would swallow the caller's own cancellation, too,
    should it come meanwhile, and a process that was asked to stop would go on for ever.
    """
    task.cancel()
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise
    if not task.cancelled():
        task.result()
