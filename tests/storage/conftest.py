"""A real HTTP server on loopback that misbehaves on demand, and a world whose time is quick."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from pathlib import Path
from typing import TypeAlias

import pytest

from sampan.storage.base import Fetched, FetchOptions, Progress, StorageError
from sampan.storage.fetch import fetch
from sampan.storage.job import World

Act: TypeAlias = "Callable[[Origin, Asked, asyncio.StreamWriter], Awaitable[None]]"


@dataclass
class Asked:
    path: str
    headers: dict[str, str]


@dataclass
class Origin:
    """Serves `body` at every path, with ranges and validators; `acts` answer first, one each."""

    body: bytes = b"model"
    etag: str = '"1"'
    headers: dict[str, str] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)
    seen: list[Asked] = field(default_factory=list)
    port: int = 0
    act: type[Acts] = field(default_factory=lambda: Acts)
    server: asyncio.Server | None = None

    async def stop(self) -> None:
        """End the listener: nobody answers any more."""
        self.server.close()
        await self.server.wait_closed()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                pairs = (line.split(": ", 1) for line in lines)
                asked = Asked(first.split(" ")[1], {k.lower(): v for k, v in pairs})
                self.seen.append(asked)
                act = self.acts.pop(0) if self.acts else serve
                await act(self, asked, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def sent_bytes_from(self) -> list[int]:
        """Where in the body each answer was asked to begin."""
        ranges = (re.match(r"bytes=(\d+)-", a.headers.get("range", "")) for a in self.seen)
        return [int(r[1]) if r else 0 for r in ranges]


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer(origin: Origin, asked: Asked) -> tuple[int, dict[str, str], bytes]:
    """What RFC 9110 has a server say: 304, 206, 416 or 200."""
    validators = {"ETag": origin.etag} if origin.etag else {}
    headers = {"Content-Type": "application/octet-stream", **validators, **origin.headers}
    if origin.etag and asked.headers.get("if-none-match") == origin.etag:
        return 304, validators, b""
    found = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
    if found and asked.headers.get("if-range", origin.etag) == origin.etag:
        start, total = int(found[1]), len(origin.body)
        if start >= total:
            return 416, {"Content-Range": f"bytes */{total}"}, b""
        part = f"bytes {start}-{total - 1}/{total}"
        return 206, {**headers, "Content-Range": part}, origin.body[start:]
    return 200, headers, origin.body


async def serve(origin: Origin, asked: Asked, writer: asyncio.StreamWriter) -> None:
    status, headers, body = answer(origin, asked)
    writer.write(head(status, {"Content-Length": str(len(body)), **headers}) + body)


def cut(after: int, *, stall: float = 0.0) -> Act:
    """Send so many bytes of the body, then close; or fall silent first."""

    async def act(origin: Origin, asked: Asked, writer: asyncio.StreamWriter) -> None:
        status, headers, body = answer(origin, asked)
        writer.write(head(status, {"Content-Length": str(len(body)), **headers}) + body[:after])
        await writer.drain()
        await asyncio.sleep(stall)
        writer.close()

    return act


def status(code: int, **headers: str) -> Act:
    async def act(origin: Origin, asked: Asked, writer: asyncio.StreamWriter) -> None:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        writer.write(head(code, {"Content-Length": "0", **named}))

    return act


async def ignore_range(origin: Origin, asked: Asked, writer: asyncio.StreamWriter) -> None:
    await serve(origin, Asked(asked.path, {}), writer)


async def chunked(origin: Origin, asked: Asked, writer: asyncio.StreamWriter) -> None:
    code, headers, body = answer(origin, asked)
    writer.write(head(code, {**headers, "Transfer-Encoding": "chunked"}))
    for at in range(0, len(body), 1000):
        piece = body[at : at + 1000]
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    writer.write(b"0\r\n\r\n")


class Acts:
    """Ways to answer, for `Origin.acts`; at hand as `origin.act`."""

    serve, ignore_range, chunked = (
        staticmethod(serve),
        staticmethod(ignore_range),
        staticmethod(chunked),
    )
    cut, status = staticmethod(cut), staticmethod(status)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    served = Origin(headers={"Last-Modified": formatdate(1_700_000_000, usegmt=True)})
    served.server = await asyncio.start_server(served.handle, "127.0.0.1", 0)
    served.port = served.server.sockets[0].getsockname()[1]
    yield served
    served.server.close()


class QuickClock:
    """Sleeps no longer than a moment, and remembers what was asked."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0.002)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds, by path within it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@dataclass
class Bench:
    """Fetches with options and a world that a test may change first."""

    options: FetchOptions
    clock: QuickClock
    world: World
    told: list[Progress] = field(default_factory=list)

    async def fetch(self, uri: object) -> Fetched:
        return await fetch(str(uri), self.options, self.told.append, world=self.world)

    async def refused(self, uri: object) -> StorageError:
        """Return why a URI cannot be had; a test fails where it can."""
        with pytest.raises(StorageError) as caught:
            await self.fetch(uri)
        return caught.value

    def set(self, **changes: object) -> None:
        self.options = replace(self.options, **changes)

    @property
    def published(self) -> list[Path]:
        return sorted((self.options.cache / "entries").glob("*"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    clock = QuickClock()
    options = FetchOptions(
        cache=tmp_path / "cache",
        volumes=tmp_path / "volumes",
        allowed_private_hosts=("127.0.0.1",),
        stall_seconds=5.0,
        reserve_bytes=0,
    )
    return Bench(options, clock, World(clock=clock, chance=lambda: 0.5))
