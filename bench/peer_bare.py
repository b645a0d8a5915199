"""The least that can answer: an asyncio protocol that parses HTTP and JSON and sends JSON back.

`python peer_bare.py PORT`. It checks nothing, limits nothing and counts nothing: a ceiling.
"""

from __future__ import annotations

import asyncio
import sys

import httptools
import orjson
import uvloop


class Bare(asyncio.Protocol):
    """Answers `predictions` with `instances`."""

    def connection_made(self, transport) -> None:
        """Begin."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._pieces: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        """Keep."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Answer."""
        value = orjson.loads(b"".join(self._pieces))
        self._pieces = []
        body = orjson.dumps({"predictions": value["instances"]})
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


async def main(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
