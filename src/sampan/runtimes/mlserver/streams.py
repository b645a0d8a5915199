"""MLServer's `infer_stream`: a request in, server-sent events out, one a response of the model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from sampan.server.job import Inference
from sampan.server.model import Headers
from sampan.server.streaming import Streamed, Streaming, is_stream


def make_streamed(inference: Inference) -> Inference:
    """Return an inference of V2 such that its answer goes out as events (MLServer, "Streaming").

    A model that does not stream sends its one answer as the only event.
    """
    decode, encode = inference.decode, inference.encode

    def streamed(result: Any, headers: Headers) -> Streaming:
        items = result if is_stream(result) else iter([result])
        return Streaming(items, lambda item: bytes(encode(item, headers).body), events=True)

    inference.decode = lambda: Streamed(decode())
    inference.encode = streamed
    return inference


async def across(
    items: AsyncIterator[Any], loop: asyncio.AbstractEventLoop
) -> AsyncGenerator[Any, None]:
    """Yield what an iterator of another loop gives; closed with this one."""
    try:
        while True:
            asked = asyncio.run_coroutine_threadsafe(_next(items), loop)
            ended, item = await asyncio.wrap_future(asked)
            if ended:
                return
            yield item
    finally:
        closing = getattr(items, "aclose", None)
        if closing is not None:
            asyncio.run_coroutine_threadsafe(closing(), loop)


async def _next(items: AsyncIterator[Any]) -> tuple[bool, Any]:
    """Return whether it has ended, and the next item: its end crosses no loop as an exception."""
    try:
        return False, await anext(items)
    except StopAsyncIteration:
        return True, None
