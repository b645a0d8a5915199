"""The one address that every pretended replica is said to answer at: `python responder.py PORT`.

It speaks HTTP/1.1 and HTTP/2, as replicas do: a health check that is never answered would have
Envoy connect anew each time, which costs it more than what is measured.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response


def submit(request: Request, reply: Reply) -> None:
    """Answer every request 200."""
    del request
    reply(Response(200, b"{}"))


async def main(port: int) -> None:
    """Serve until ended."""
    await Listener(submit).listen("127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
