"""What the operator is doing this moment: the stacks of its threads and of its tasks.

By SIGUSR1 to its log, or by `--debug-port` at `/debug/stacks`, which listens on loopback whatever
`--host` says: stacks tell names of other people's objects.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from sampan.wire.message import Reply, Request, Response

logger = logging.getLogger("sampan.operator")

_TEXT = b"text/plain; charset=utf-8"
PATH = "/debug/stacks"


def render_stacks() -> str:
    """Return the stack of every thread and task of the running loop."""
    return "\n".join((*_threads(), *_tasks()))


def _threads() -> Iterator[str]:
    names = {t.ident: t.name for t in threading.enumerate()}
    for number, frame in sys._current_frames().items():  # noqa: SLF001  # its only door, documented
        yield f'thread "{names.get(number, number)}"'
        yield "".join(traceback.format_stack(frame))


def _tasks() -> Iterator[str]:
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    yield f"{len(tasks)} tasks"
    for task in tasks:
        yield f'task "{task.get_name()}"'
        yield "".join(_waits(task.get_coro()))


def _waits(awaited: Any) -> Iterator[str]:
    """From the outermost coroutine to where it waits; asyncio's own stack is the outermost alone.

    Attributes are those of coroutines and generators (`inspect`).
    """
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            yield from traceback.format_stack(frame, limit=1)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def dump_on_signal(loop: asyncio.AbstractEventLoop) -> None:
    """Write the stacks to the log whenever SIGUSR1 comes."""
    loop.add_signal_handler(
        signal.SIGUSR1, lambda: logger.info("asked by SIGUSR1\n%s", render_stacks())
    )


def submit(request: Request, reply: Reply) -> None:
    """Answer a request of the wire."""
    path = urlsplit(request.target.decode("latin-1")).path
    if request.method != b"GET":
        reply(Response(405, b"GET is answered here\n", _TEXT))
    elif path == PATH:
        reply(Response(200, render_stacks().encode(), _TEXT))
    else:
        reply(Response(404, f"{PATH} is here\n".encode(), _TEXT))
