"""A client of the API that costs little itself: HTTP/1.1 over asyncio's streams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from bench.control_plane_rows.daemons import Up

SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
"""What kubectl accepts."""
READY_SECONDS = 300.0


async def ask(
    daemon: Up, method: str, path: str, body: Any = None, accept: str = JSON
) -> tuple[int, Any]:
    """Return status and body of one request."""
    reader, writer = await _send(daemon, method, path, body, accept)
    try:
        status = await _status(reader)
        text = await reader.read()
    finally:
        writer.close()
    return status, json.loads(text)


async def open_watch(daemon: Up, version: str) -> asyncio.StreamReader:
    """Return a watch of all services, to be read by `read_event`; it ends with the process."""
    path = f"{SERVICES}?watch=true&resourceVersion={version}"
    reader, writer = await _send(daemon, "GET", path, None, JSON, close=False)
    status = await _status(reader)
    if status != 200:
        raise RuntimeError(f"watch answers {status}")
    _writers.append(writer)
    return reader


_writers: list[asyncio.StreamWriter] = []
"""Kept: a stream whose writer is forgotten is closed."""


async def read_event(reader: asyncio.StreamReader) -> bytes:
    """Return the next line of a watch: one chunk."""
    size = int(await reader.readline(), 16)
    line = await reader.readexactly(size)
    await reader.readexactly(2)
    return line


async def wait_all_ready(daemon: Up, count: int) -> None:
    """Wait until so many services are Ready."""
    from bench.control_plane_rows.stage import is_ready

    async with asyncio.timeout(READY_SECONDS):
        while True:
            _, found = await ask(daemon, "GET", SERVICES)
            if sum(map(is_ready, found["items"])) >= count:
                return
            await asyncio.sleep(1.0)


async def _send(
    daemon: Up, method: str, path: str, body: Any, accept: str, *, close: bool = True
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port, limit=1 << 24)
    payload = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\n"
        f"Authorization: Bearer {daemon.token}\r\nAccept: {accept}\r\n"
        f"Content-Type: {JSON}\r\nContent-Length: {len(payload)}\r\n"
        f"{'Connection: close' if close else 'Connection: keep-alive'}\r\n\r\n"
    )
    writer.write(head.encode() + payload)
    await writer.drain()
    return reader, writer


async def _status(reader: asyncio.StreamReader) -> int:
    """Read the head of an answer."""
    status = int((await reader.readline()).split()[1])
    while (await reader.readline()) not in {b"\r\n", b""}:
        pass
    return status
