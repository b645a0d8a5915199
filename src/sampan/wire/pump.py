"""Writes a response whose body comes piece by piece; stops when the peer does not read or leaves.

One task a streamed response, and none for others. Knows no framing: the protocol that owns the
pump says how a piece is written.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from sampan.wire.message import Response

_closing: set[asyncio.Task[None]] = set()  # the loop itself holds tasks weakly


class Pump:
    """Takes pieces from `response.chunks` and gives them to `write`.

    `done` gets what went wrong, or None. Made and used on the loop's thread; after `cancel` neither
    is called any more.
    """

    __slots__ = ("_chunks", "_done", "_open", "_started", "_task", "_write")

    def __init__(
        self,
        response: Response,
        write: Callable[[bytes], None],
        done: Callable[[Exception | None], None],
    ) -> None:
        if response.chunks is None:
            raise ValueError("the response has no chunks; write its body instead")
        self._chunks = response.chunks
        self._write = write
        self._done = done
        self._open = asyncio.Event()
        self._open.set()
        self._started = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def pause(self) -> None:
        """Take no further piece: the peer does not read."""
        self._open.clear()

    def resume(self) -> None:
        """Go on."""
        self._open.set()

    def cancel(self) -> None:
        """The peer has left: whoever makes the pieces is cancelled where it waits."""
        self._task.cancel()
        if not self._started:  # a task cancelled before its first step runs none, `finally` neither
            _close_later(self._chunks)

    async def _run(self) -> None:
        self._started = True
        failure: Exception | None = None
        try:
            async for piece in self._chunks:
                if piece:  # an empty one would end the body in chunked framing
                    self._write(piece)
                await self._open.wait()
        except Exception as error:  # noqa: BLE001  # handed to the protocol, which ends the body
            failure = error
        finally:
            await close(self._chunks)
        self._done(failure)


def discard(response: Response) -> None:
    """Close the chunks of a response that is not sent; nothing to do where it has none."""
    if response.chunks is not None:
        _close_later(response.chunks)


def _close_later(chunks: AsyncIterator[bytes]) -> None:
    task = asyncio.get_running_loop().create_task(close(chunks))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def close(chunks: AsyncIterator[bytes]) -> None:
    """Close what makes pieces. Its own trouble with closing is no longer anybody's answer."""
    ending = getattr(chunks, "aclose", None)
    if ending is not None:
        with contextlib.suppress(Exception):
            await ending()
