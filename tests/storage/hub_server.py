"""A hub on loopback, shaped as huggingface.co: its API, redirects to large storage, refusals.

Real bytes over real sockets; the Hub's own client library downloads from it too.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


def git_name(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0


@dataclass
class HubServer:
    """`commits`: files by commit; `branches`: commits by name. Files of
    `large` bytes are in large storage, at another address.

    `cuts` end that many answers of large storage after so many bytes, `hold_after` has all of them
    wait there until `released`; `act` may replace any answer.
    """

    repository: str = "owner/model"
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str = ""
    gated: bool = False
    page: int = 1000
    large: int = 1000
    cuts: list[int] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    act: Callable[[Request], tuple[int, dict[str, str], bytes] | None] = lambda _: None
    hold_after: int | None = None
    held: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    server: asyncio.Server | None = None
    port: int = 0

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> str:
        """Another host than the hub's: no token may come here."""
        return f"http://localhost:{self.port}/storage/"

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        name = git_name(repr(sorted(files.items())).encode())
        self.commits[name] = files
        self.branches[branch] = name
        return name

    def transferred(self) -> int:
        """Bytes of files that were sent since the last call."""
        sent = sum(r.sent for r in self.seen if "/api/" not in r.path and r.method == "GET")
        self.seen.clear()
        return sent

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._handle, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                pairs = (line.split(": ", 1) for line in lines)
                method, path, _ = first.split(" ")
                request = Request(method, path, {k.lower(): v for k, v in pairs})
                self.seen.append(request)
                if not await self._send(request, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _send(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        status, headers, body = self.act(request) or self.answer(request)
        length = headers.pop("Content-Length", str(len(body)))
        lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode("latin-1"))
        if request.method == "HEAD":
            return True
        if self.hold_after is not None and "/storage/" in request.path and len(body) > self.large:
            writer.write(body[: self.hold_after])
            await writer.drain()
            self.held.set()
            await self.released.wait()
            return False
        cut = self.cuts.pop(0) if self.cuts and "/storage/" in request.path else None
        writer.write(body[:cut])
        request.sent = len(body[:cut])
        await writer.drain()
        return cut is None

    def answer(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        path = unquote(urlsplit(request.path).path)
        if path.startswith("/storage/"):
            return self._stored(request, path.removeprefix("/storage/"))
        allowed = request.headers.get("authorization", "") == f"Bearer {self.token}"
        if self.token and not self.gated and not allowed:
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        known = f"/api/models/{self.repository}"
        if path == f"{known}/auth-check":
            return self._gated(request) if self.gated and not allowed else (200, {}, b"OK")
        if path.startswith(f"{known}/revision/"):
            return self._revision(path.removeprefix(f"{known}/revision/"))
        if path.startswith(f"{known}/tree/"):
            return self._tree(path.removeprefix(f"{known}/tree/"), request)
        found = re.fullmatch(rf"/{self.repository}/resolve/([^/]+)/(.+)", path)
        if not found:
            return 404, {"X-Error-Code": "RepoNotFound"}, b'{"error":"Repository not found"}'
        if self.gated and not allowed:
            return self._gated(request)
        return self._resolve(found[1], found[2])

    def _gated(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        status = 403 if request.headers.get("authorization") else 401
        return status, {"X-Error-Code": "GatedRepo"}, b""

    def _commit_of(self, revision: str) -> str:
        return revision if revision in self.commits else self.branches.get(revision, "")

    def _revision(self, revision: str) -> tuple[int, dict[str, str], bytes]:
        commit = self._commit_of(revision)
        if not commit:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b'{"error":"Invalid rev id"}'
        told = {
            "_id": "0", "id": self.repository, "modelId": self.repository, "sha": commit,
            "private": False, "gated": "manual" if self.gated else False, "tags": [],
            "downloads": 0, "siblings": [{"rfilename": f} for f in sorted(self.commits[commit])],
        }  # fmt: skip
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()

    def _tree(self, revision: str, request: Request) -> tuple[int, dict[str, str], bytes]:
        files = self.commits[self._commit_of(revision)]
        at = int((re.search(r"cursor=(\d+)", request.path) or [0, 0])[1])
        names = sorted(files)
        listed = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "a-folder"}]
        for name in names[at : at + self.page]:
            data = files[name]
            item = {"type": "file", "oid": git_name(data), "size": len(data), "path": name}
            if len(data) >= self.large:
                item["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 134}
            listed.append(item)
        headers = {"Content-Type": "application/json"}
        if at + self.page < len(names):
            base = f"{self.root}{urlsplit(request.path).path}"
            headers["Link"] = f'<{base}?recursive=true&cursor={at + self.page}>; rel="next"'
        return 200, headers, json.dumps(listed).encode()

    def _resolve(self, revision: str, name: str) -> tuple[int, dict[str, str], bytes]:
        commit = self._commit_of(revision)
        if name not in self.commits.get(commit, {}):
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        data = self.commits[commit][name]
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if len(data) < self.large:
            return 200, {**headers, "ETag": f'"{git_name(data)}"'}, data
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{sha256(data)}"'}
        return 302, {**headers, **linked, "Location": self.storage + sha256(data)}, b""

    def _stored(self, request: Request, digest: str) -> tuple[int, dict[str, str], bytes]:
        data = next(
            d for files in self.commits.values() for d in files.values() if sha256(d) == digest
        )
        headers = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if found:
            start = int(found[1])
            part = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return 206, {**headers, "Content-Range": part}, data[start:]
        return 200, headers, data
