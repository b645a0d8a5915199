"""Requests a second: by wrk where it is installed, else by a small generator of our own."""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench.processes import find_command

GENERATOR_NOTE = "wrk is not installed: a Python generator bounds both sides"

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
"""


def requests_per_second(url: str, body: bytes, connections: int, seconds: int) -> float:
    """Return the rate of POSTs that were answered; raise when any was not answered 2xx."""
    wrk = find_command("wrk")
    if wrk is None:
        return asyncio.run(_generate(url, body, connections, seconds))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT.format(body=body.decode()))
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", out)
    if refused:
        raise RuntimeError(f"not every request was answered well: {refused[0]}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if not rate:
        raise RuntimeError(f"wrk says nothing that can be read: {out[-300:]}")
    return float(rate[1])


def generator_note() -> str:
    """Return what a row should tell about its generator."""
    return "" if find_command("wrk") else GENERATOR_NOTE


async def _generate(url: str, body: bytes, connections: int, seconds: int) -> float:
    parts = urlsplit(url)
    request = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    end = time.monotonic() + seconds
    counts = await asyncio.gather(
        *(_one(parts.hostname or "", parts.port or 80, request, end) for _ in range(connections))
    )
    return sum(counts) / seconds


async def _one(host: str, port: int, request: bytes, end: float) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    count = 0
    try:
        while time.monotonic() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head[:16]:
                raise RuntimeError(f"not answered well: {head[:80]!r}")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            if not length:
                raise RuntimeError(f"no length in {head[:200]!r}")
            await reader.readexactly(int(length[1]))
            count += 1
    finally:
        writer.close()
    return count
