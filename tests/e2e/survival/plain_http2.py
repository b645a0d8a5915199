"""A client of HTTP/2 without TLS: a connection, one request at a time, each in one write.

A request's end goes with its body, so that no answer can come before it, and what a server does to
a stream is told as it is.
"""

from __future__ import annotations

import asyncio

import h2.config
import h2.connection
import h2.events

_PIECE = 64 * 1024


class PlainHttp2:
    """One connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: h2.connection.H2Connection | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer; raise OSError where there is none."""
        try:
            return await self._ask(path, body)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection = None
            self._writer.close()

    async def _open(self) -> h2.connection.H2Connection:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        connection.initiate_connection()
        self._connection = connection
        return connection

    async def _ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        connection = self._connection or await self._open()
        stream = connection.get_next_available_stream_id()
        head = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "localhost",
            ":path": path,
            "content-type": "application/json",
            "content-length": str(len(body)),
        }
        connection.send_headers(stream, list(head.items()))
        connection.send_data(stream, body, end_stream=True)
        self._writer.write(connection.data_to_send())
        return await self._answer(connection, stream)

    async def _answer(
        self, connection: h2.connection.H2Connection, stream: int
    ) -> tuple[int, bytes]:
        status, text = 0, b""
        while True:
            piece = await self._reader.read(_PIECE)
            if not piece:
                raise ConnectionResetError("the connection ended before the answer")
            for event in connection.receive_data(piece):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[":status"])
                elif isinstance(event, h2.events.DataReceived):
                    text += event.data
                    connection.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                elif isinstance(event, h2.events.StreamEnded) and event.stream_id == stream:
                    self._writer.write(connection.data_to_send())
                    return status, text
                elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    raise ConnectionResetError(f"{status} and {len(text)} bytes, then {event}")
            self._writer.write(connection.data_to_send())
