"""A constant answer on our wire: `python -m bench.peer_constant PORT [BYTES] [MILLISECONDS]`.

What stands behind a router under measurement, so that nothing but the router is measured. With
bytes, as many are answered; with milliseconds, each answer takes so long.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from sampan.protocol.grpc.infer import encode_response
from sampan.protocol.grpc.status import RpcError, from_http
from sampan.protocol.tensors import InferOutput, InferResponse
from sampan.server.grpc_answers import answer, fail
from sampan.wire.calls import Channel
from sampan.wire.limits import Limits
from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response


class Constant:
    """The same to every gRPC call: two numbers, raw."""

    streaming: frozenset[bytes] = frozenset()

    def __init__(self) -> None:
        output = InferOutput("predict", [2], "INT64")
        output.set_raw(memoryview((1).to_bytes(8, "little") * 2))
        parts = encode_response(InferResponse("7", "m", [output]), raw=True)
        self._answer = answer(b"".join(parts))

    def submit(self, request: Request, reply: Reply) -> None:
        """Answer."""
        del request
        reply(self._answer)

    def open(self, request: Request, channel: Channel) -> None:
        """Nothing streams."""

    def refuse(self, status: int, text: str) -> Response:
        """Say that the wire refuses."""
        return fail(RpcError(from_http(status), text))


async def main(port: int, size: int = 0, milliseconds: int = 0) -> None:
    """Serve for ever."""
    body = b'{"predictions":[1,2,3]}' if not size else b'{"pad":"' + b"x" * (size - 10) + b'"}'
    constant = Response(200, body)
    loop = asyncio.get_running_loop()

    def submit(request: Request, reply: Reply) -> None:
        del request
        if milliseconds:
            loop.call_later(milliseconds / 1000, reply, constant)
        else:
            reply(constant)

    listener = Listener(submit, Limits(body_bytes=64 * 1024 * 1024), Constant())
    await listener.listen("127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
