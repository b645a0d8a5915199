"""A registry on loopback, by the distribution specification: pull, push, tokens, ranges.

The stock ORAS client pushes to it and pulls from it.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import re
import tarfile
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
TAR = "application/vnd.oci.image.layer.v1.tar"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def make_layer(*members: tuple[str, Any], packed: bool = True) -> bytes:
    """A tar of names with bytes, links (`-> target`, `=> hard`), folders (None) or devices (0)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif content == 0:
                info.type = tarfile.CHRTYPE
            elif isinstance(content, str):
                info.type = tarfile.SYMTYPE if content.startswith("-> ") else tarfile.LNKTYPE
                info.linkname = content[3:]
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return gzip.compress(out.getvalue(), mtime=0) if packed else out.getvalue()


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False, default=b"")
    sent: int = 0


@dataclass
class RegistryServer:
    """Blobs by digest, manifests by digest or tag. With a `user`, tokens are wanted.

    `cuts` end that many blobs after so many bytes; `act` may replace any answer; tokens are good
    for `uses` requests.
    """

    user: str = ""
    scheme: str = "Bearer"
    uses: int = 1000
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    act: Callable[[Request], tuple[int, dict[str, str], bytes] | None] = lambda _: None
    tokens: dict[str, int] = field(default_factory=dict)
    server: asyncio.Server | None = None
    port: int = 0

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def put(self, *layers: bytes | dict[str, Any], tag: str = "v1", config: str = CONFIG) -> str:
        """Keep an image of layers (tar+gzip, or a descriptor with `data`); return its digest."""
        described = []
        for layer in layers:
            given = layer if isinstance(layer, dict) else {"data": layer, "mediaType": GZIP}
            data = given.pop("data")
            self.blobs[digest_of(data)] = data
            described.append({"digest": digest_of(data), "size": len(data), **given})
        self.blobs[digest_of(b"{}")] = b"{}"
        manifest = {
            "schemaVersion": 2, "mediaType": IMAGE, "layers": described,
            "config": {"mediaType": config, "digest": digest_of(b"{}"), "size": 2},
        }  # fmt: skip
        return self.put_manifest(manifest, IMAGE, tag)

    def put_manifest(self, manifest: Any, kind: str, tag: str) -> str:
        data = json.dumps(manifest).encode()
        digest = digest_of(data)
        self.manifests[digest] = self.manifests[tag] = (kind, data)
        return digest

    def transferred(self) -> int:
        """Bytes of blobs that were sent since the last call."""
        sent = sum(r.sent for r in self.seen if "/blobs/" in r.path and r.method == "GET")
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
                request.body = await reader.readexactly(
                    int(request.headers.get("content-length", 0))
                )
                self.seen.append(request)
                if not await self._send(request, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _send(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        status, headers, body = self.act(request) or self.answer(request)
        lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers.items())]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        writer.write(head.encode("latin-1"))
        if request.method == "HEAD":
            return True
        cut = self.cuts.pop(0) if self.cuts and "/blobs/" in request.path else None
        writer.write(body[:cut])
        request.sent = len(body[:cut])
        await writer.drain()
        return cut is None

    def answer(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(request.path)
        if parts.path == "/token":
            return self._give_token(request, parse_qs(parts.query))
        refused = self._challenge(request)
        if refused:
            return refused
        if parts.path in {"/v2", "/v2/"}:
            return 200, {}, b"{}"
        found = re.fullmatch(r"/v2/(.+?)/(manifests|blobs)/(.*)", parts.path)
        if not found:
            return 404, {}, b""
        if request.method in {"POST", "PUT", "PATCH"}:
            return self._push(request, found[2], found[3], parse_qs(parts.query))
        return (
            self._manifest(found[3]) if found[2] == "manifests" else self._blob(request, found[3])
        )

    def _challenge(self, request: Request) -> tuple[int, dict[str, str], bytes] | None:
        given = request.headers.get("authorization", "")
        basic = f"Basic {b64encode(self.user.encode()).decode()}"
        token = given.removeprefix("Bearer ")
        if not self.user or (self.scheme == "Basic" and given == basic):
            return None
        if self.tokens.get(token, 0) > 0:
            self.tokens[token] -= 1
            return None
        told = f'Bearer realm="http://{self.host}/token",service="tests",scope="x"'
        return (
            401,
            {"Www-Authenticate": told if self.scheme == "Bearer" else 'Basic realm="x"'},
            b"",
        )

    def _give_token(self, request: Request, asked: dict[str, list[str]]):
        basic = f"Basic {b64encode(self.user.encode()).decode()}"
        if request.headers.get("authorization") != basic or asked.get("service") != ["tests"]:
            return 401, {}, b""
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = self.uses
        return 200, {"Content-Type": "application/json"}, json.dumps({"token": token}).encode()

    def _manifest(self, version: str) -> tuple[int, dict[str, str], bytes]:
        if version not in self.manifests:
            return 404, {"Content-Type": "application/json"}, b'{"errors":[]}'
        kind, data = self.manifests[version]
        return 200, {"Content-Type": kind, "Docker-Content-Digest": digest_of(data)}, data

    def _blob(self, request: Request, digest: str) -> tuple[int, dict[str, str], bytes]:
        data = self.blobs.get(digest)
        if data is None:
            return 404, {}, b""
        headers = {"ETag": f'"{digest}"', "Content-Type": "application/octet-stream"}
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if found:
            part = f"bytes {found[1]}-{len(data) - 1}/{len(data)}"
            return 206, {**headers, "Content-Range": part}, data[int(found[1]) :]
        return 200, headers, data

    def _push(self, request: Request, what: str, version: str, query: dict[str, list[str]]):
        if what == "manifests":
            kind = request.headers["content-type"]
            self.manifests[version] = (kind, request.body)
            self.manifests[digest_of(request.body)] = (kind, request.body)
            return 201, {"Docker-Content-Digest": digest_of(request.body)}, b""
        if "digest" in query:
            self.blobs[query["digest"][0]] = request.body
            return 201, {"Location": request.path}, b""
        return 202, {"Location": f"http://{self.host}{urlsplit(request.path).path}upload"}, b""
