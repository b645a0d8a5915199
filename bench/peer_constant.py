"""A constant answer on our wire: `python -m bench.peer_constant PORT [BYTES] [MILLISECONDS]`.

What stands behind a router under measurement, so that nothing but the router is measured. With
bytes, as many are answered; with milliseconds, each answer takes so long.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from sampan.wire.limits import Limits
from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response


async def main(port: int, size: int = 0, milliseconds: int = 0) -> None:
    """Serve for ever."""
    body = b'{"predictions":[1,2,3]}' if not size else b'{"pad":"' + b"x" * (size - 10) + b'"}'
    answer = Response(200, body)
    loop = asyncio.get_running_loop()

    def submit(request: Request, reply: Reply) -> None:
        del request
        if milliseconds:
            loop.call_later(milliseconds / 1000, reply, answer)
        else:
            reply(answer)

    listener = Listener(submit, Limits(body_bytes=64 * 1024 * 1024))
    await listener.listen("127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
