"""What a model may raise that is no Exception: the end of its request, and not of the server.

`sys.exit()` in a coroutine would end the loop; a CancelledError that comes from something the model
waited for would leave its request without an answer.
"""

from __future__ import annotations

import asyncio

EXITS = (asyncio.CancelledError, SystemExit)


def make_exit_error(error: BaseException) -> RuntimeError:
    """Return what a request is told that a model ended in such a way."""
    return RuntimeError(f"{type(error).__name__} raised by the model")


def is_called_off() -> bool:
    """Whether the running task itself is cancelled, not something that its model waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
