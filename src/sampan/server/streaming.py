"""Answers of models that return iterators: sync or async, as chunks or as server-sent events.

The status waits for the first item, so that a request which fails there gets its proper code. When
the client leaves, an async iterator is closed where it waits, a sync one after its current item.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sampan.protocol import json_out, sse
from sampan.protocol.errors import describe
from sampan.protocol.tensors import InferResponse
from sampan.server.model_exits import EXITS, is_called_off, make_exit_error
from sampan.server.workers import Workers
from sampan.wire.message import Reply, Response

logger = logging.getLogger("sampan.server")

_END = object()
_WHOLE = frozenset({dict, list, str, bytes, InferResponse})


@dataclass(frozen=True, slots=True)
class Streaming:
    """What `Inference.encode` returns for an iterator: how each item is written.

    As server-sent events (`events`), an error after the first item is an event of its own;
    otherwise the connection is cut, for there is no place to tell it.
    """

    items: Any
    encode: Callable[[Any], bytes]
    events: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Streamed:
    """A payload whose answer is asked for in parts, for a model with `takes_streamed`."""

    request: Any


def is_stream(result: Any) -> bool:
    """Whether a model's result is to be sent item by item."""
    if type(result) in _WHOLE:  # nearly always, and asking the abstract classes is dear
        return False
    return isinstance(result, AsyncIterator | Iterator)


def encode_item(item: Any) -> bytes:
    """Return an item of a V1 stream: bytes and text as they are, anything else as a JSON line."""
    if isinstance(item, bytes):
        return item
    return item.encode() if isinstance(item, str) else json_out.dumps(item) + b"\n"


def encode_event_data(item: Any) -> bytes:
    """Return the data of an event: bytes and text as they are, anything else as JSON."""
    if isinstance(item, bytes):
        return item
    return item.encode() if isinstance(item, str) else json_out.dumps(item)


async def answer(
    streaming: Streaming, workers: Workers, reply: Reply, failure: Callable[[Exception], Response]
) -> None:
    """Answer with the stream, or with why its first item did not come."""
    source = _source_of(streaming.items, workers)
    try:
        first = await anext(source, _END)
        head = b"" if first is _END else _written(streaming, first)
    except Exception as error:  # noqa: BLE001  # becomes the answer
        await _close(source)
        reply(failure(error))
        return
    except EXITS as error:
        if is_called_off():
            raise
        await _close(source)
        reply(failure(make_exit_error(error)))
        return
    content_type = sse.CONTENT_TYPE if streaming.events else b""
    headers = streaming.headers
    if streaming.events:
        headers = (*headers, (b"cache-control", b"no-cache"))
    chunks = _pieces(streaming, head, source)
    reply(Response(200, b"", content_type, headers, chunks=_Closing(chunks, source)))


def _source_of(items: Any, workers: Workers) -> Any:
    return items if isinstance(items, AsyncIterator) else _OnThreads(items, workers)


async def each(items: Any, workers: Workers) -> AsyncGenerator[Any, None]:
    """Yield what a model's iterator gives, sync or async; it is closed with this one."""
    source = _source_of(items, workers)
    try:
        async for item in source:
            yield item
    finally:
        await _close(source)


async def _pieces(streaming: Streaming, head: bytes, source: Any) -> AsyncIterator[bytes]:
    yield head
    try:
        async for item in source:
            yield _written(streaming, item)
    except EXITS as error:
        if is_called_off():
            raise
        yield _broken(streaming, make_exit_error(error))
    except Exception as error:  # noqa: BLE001  # told, or raised again
        yield _broken(streaming, error)


def _broken(streaming: Streaming, error: Exception) -> bytes:
    """Return what tells of a stream that broke off; raise the error where it cannot be told."""
    if not streaming.events:
        raise error
    logger.error("a stream broke off", exc_info=error)
    return sse.event(describe(error)[1])


class _Closing:
    """Chunks that close the model's iterator with them, also before the first one is taken."""

    def __init__(self, chunks: Any, source: Any) -> None:
        self._chunks = chunks
        self._source = source

    def __aiter__(self) -> _Closing:
        return self

    async def __anext__(self) -> bytes:
        piece: bytes = await anext(self._chunks)
        return piece

    async def aclose(self) -> None:
        """Close both."""
        await self._chunks.aclose()
        await _close(self._source)


def _written(streaming: Streaming, item: Any) -> bytes:
    data = streaming.encode(item)
    return sse.event(data) if streaming.events else data


async def _close(source: Any) -> None:
    ending = getattr(source, "aclose", None)
    if ending is not None:
        with contextlib.suppress(Exception):
            await ending()


class _OnThreads:
    """A sync iterator as an async one: each item is made on a worker thread."""

    def __init__(self, items: Iterator[Any], workers: Workers) -> None:
        self._items = items
        self._workers = workers
        self._turn = threading.Lock()  # a generator cannot be closed while it makes an item

    def __aiter__(self) -> _OnThreads:
        return self

    async def __anext__(self) -> Any:
        item = await self._workers.run(self._next)
        if item is _END:
            raise StopAsyncIteration
        return item

    def _next(self) -> Any:
        with self._turn:
            return next(self._items, _END)

    async def aclose(self) -> None:
        """Close the iterator as soon as it is between items; nobody waits for that."""
        closing = getattr(self._items, "close", None)
        if closing is not None:
            self._workers.submit(partial(self._close, closing), _ignore)

    def _close(self, closing: Callable[[], None]) -> None:
        with self._turn:
            closing()


def _ignore(outcome: Any) -> None:
    if isinstance(outcome, BaseException):
        logger.warning("an iterator did not close: %s: %s", type(outcome).__name__, outcome)


def start(work: Any, tasks: set[asyncio.Task[None]]) -> None:
    """Run a coroutine in a task that `tasks` keeps alive until it is over."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
