"""A small S3 on loopback that checks signatures by itself and misbehaves on demand."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote_plus, unquote
from xml.sax.saxutils import escape

ID, SECRET = "AKIDEXAMPLE", "s3cret/with+signs"
EMPTY = hashlib.sha256(b"").hexdigest()

Act: TypeAlias = "Callable[[S3, Asked, asyncio.StreamWriter], Awaitable[None]]"


@dataclass
class Asked:
    """A request as it came: target and header names in lower case."""

    target: str
    headers: dict[str, str]

    @property
    def key(self) -> str:
        """The object's name, "" for a listing; the bucket goes before."""
        return unquote(self.target.partition("?")[0].split("/", 2)[2])

    @property
    def query(self) -> dict[str, str]:
        pairs = (p.partition("=") for p in self.target.partition("?")[2].split("&"))
        return {k: unquote(v) for k, _, v in pairs}


@dataclass
class S3:
    """Bucket `models`. `acts` answer the next requests for objects, one each."""

    objects: dict[str, bytes] = field(default_factory=dict)
    public: bool = False
    page: int = 1000
    acts: list[Act] = field(default_factory=list)
    list_acts: list[Act] = field(default_factory=list)
    seen: list[Asked] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    port: int = 0
    server: asyncio.Server | None = None
    reader: asyncio.StreamReader | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._handle, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.server.close()

    async def away(self) -> None:
        """End the listener: nobody answers any more."""
        self.server.close()
        await self.server.wait_closed()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def objects_asked(self) -> list[str]:
        return [a.key for a in self.seen if a.key]

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                pairs = (line.split(": ", 1) for line in lines)
                asked = Asked(first.split(" ")[1], {k.lower(): v for k, v in pairs})
                self.seen.append(asked)
                self.reader = reader
                self.busy += 1
                self.busiest = max(self.busiest, self.busy)
                try:
                    await self._answer(asked, writer)
                finally:
                    self.busy -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        acts = self.acts if asked.key else self.list_acts
        code = "" if self.public and "authorization" not in asked.headers else wrong(asked)
        if code:
            error(writer, 403, code)
        elif acts:
            await acts.pop(0)(self, asked, writer)
        elif not asked.target.startswith("/models/"):
            error(writer, 404, "NoSuchBucket")
        elif asked.key:
            await send_object(self, asked, writer)
        else:
            send(writer, 200, {"Content-Type": "application/xml"}, self.listing(asked))
        await writer.drain()

    def listing(self, asked: Asked) -> bytes:
        query = asked.query
        most = min(int(query["max-keys"]), self.page)
        after = query.get("continuation-token", "")
        names = [n for n in sorted(self.objects) if n.startswith(query["prefix"]) and n > after]
        contents = "".join(
            f"<Contents><Key>{escape(quote_plus(n, safe='/'))}</Key>"
            f"<ETag>{escape(etag(self.objects[n]))}</ETag>"
            f"<Size>{len(self.objects[n])}</Size></Contents>"
            for n in names[:most]
        )
        more = len(names) > most
        last = escape(names[most - 1]) if more else ""
        token = f"<NextContinuationToken>{last}</NextContinuationToken>"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token if more else ''}"
            f"<EncodingType>url</EncodingType>{contents}</ListBucketResult>"
        ).encode()


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def send(
    writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes = b""
) -> None:
    lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers.items())]
    if "Content-Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)


def error(writer: asyncio.StreamWriter, status: int, code: str, **headers: str) -> None:
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    body = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>".encode()
    send(writer, status, {"Content-Type": "application/xml", **named}, body)


def object_answer(s3: S3, asked: Asked) -> tuple[int, dict[str, str], bytes]:
    body = s3.objects.get(asked.key)
    if body is None:
        return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
    if asked.headers.get("if-match", etag(body)) != etag(body):
        return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
    headers = {"ETag": etag(body)}
    found = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
    if not found:
        return 200, headers, body
    start = int(found[1])
    part = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return 206, {**headers, "Content-Range": part}, body[start:]


async def send_object(s3: S3, asked: Asked, writer: asyncio.StreamWriter) -> None:
    send(writer, *object_answer(s3, asked))


def cut(after: int, *, stall: float = 0.0) -> Act:
    """Send so many bytes, then close; or fall silent first."""

    async def act(s3: S3, asked: Asked, writer: asyncio.StreamWriter) -> None:
        status, headers, body = object_answer(s3, asked)
        send(writer, status, {**headers, "Content-Length": str(len(body))}, body[:after])
        await writer.drain()
        await asyncio.sleep(stall)
        writer.close()

    return act


def refuse(status: int, code: str, **headers: str) -> Act:
    async def act(s3: S3, asked: Asked, writer: asyncio.StreamWriter) -> None:
        error(writer, status, code, **headers)

    return act


def wrong(asked: Asked) -> str:
    """Why a signature is refused, "" for a right one: Signature Version 4, from the raw request."""
    given = asked.headers.get("authorization", "")
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
        r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})",
        given,
    )
    if not found:
        return "AccessDenied"
    key, day, region, names, signature = found.groups()
    if key != ID:
        return "InvalidAccessKeyId"
    path, _, query = asked.target.partition("?")
    signed = "".join(f"{name}:{asked.headers[name]}\n" for name in names.split(";"))
    pairs = "&".join(sorted(query.split("&")))
    canonical = f"GET\n{path}\n{pairs}\n{signed}\n{names}\n{EMPTY}"
    stamp, scope = asked.headers["x-amz-date"], f"{day}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    derived = f"AWS4{SECRET}".encode()
    for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    return "" if derived.hex() == signature else "SignatureDoesNotMatch"
