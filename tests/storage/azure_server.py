"""A small Azure Blob Storage on loopback that checks account keys, signatures and tokens."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

from tests.storage.s3_server import S3, Asked, send

ACCOUNT = "models1"
KEY = b64encode(b"an account key of thirty-two byt").decode()
SAS = "sv=2021-12-02&sp=rl&sig=a%2Bb%3D"


@dataclass
class Azure(S3):
    """Container `models` of the account `models1`."""

    tokens: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AZURE_SERVICE_URL": f"http://127.0.0.1:{self.port}",
            "AZURE_STORAGE_ACCESS_KEY": KEY,
        }

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        path, _, query = asked.target.partition("?")
        wanted = {k: v[0] for k, v in parse_qs(query, keep_blank_values=True).items()}
        if path.endswith("/oauth2/v2.0/token"):
            body = await self.reader.readexactly(int(asked.headers["content-length"]))
            self._give(parse_qs(body.decode()), writer)
            return
        code = "" if self.public else self.wrong(asked, wanted)
        container, _, name = unquote(path).lstrip("/").partition("/")
        if code:
            refuse(writer, 403, code)
        elif container != "models":
            refuse(writer, 404, "ContainerNotFound")
        elif name:
            self._send(name, asked, writer)
        else:
            send(writer, 200, {"Content-Type": "application/xml"}, self._listing(wanted))
        await writer.drain()

    def _give(self, form: dict[str, list[str]], writer: asyncio.StreamWriter) -> None:
        if form["client_secret"] != ["right"]:
            told = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid\nx"}
            send(writer, 401, {}, json.dumps(told).encode())
            return
        self.tokens += 1
        send(writer, 200, {}, b'{"access_token": "t1", "expires_in": 3599}')

    def wrong(self, asked: Asked, wanted: dict[str, str]) -> str:
        """Why a request is refused: "Authorize with Shared Key", from the raw request."""
        if wanted.get("sig"):
            return "" if wanted["sig"] == "a+b=" else "AuthenticationFailed"
        given = asked.headers.get("authorization", "")
        if given == "Bearer t1":
            return ""
        own = {k: v for k, v in sorted(asked.headers.items()) if k.startswith("x-ms-")}
        lines = ["GET", *[""] * 7, asked.headers.get("if-match", ""), "", ""]
        lines += [asked.headers.get("range", ""), *(f"{k}:{v}" for k, v in own.items())]
        resource = f"/{ACCOUNT}{asked.target.partition('?')[0]}"
        lines += [resource, *(f"{k}:{v}" for k, v in sorted(wanted.items()))]
        digest = hmac.new(b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256).digest()
        right = f"SharedKey {ACCOUNT}:{b64encode(digest).decode()}"
        return "" if given == right else "AuthenticationFailed"

    def _listing(self, wanted: dict[str, str]) -> bytes:
        most, after = min(int(wanted["maxresults"]), self.page), int(wanted.get("marker", "0"))
        prefix = wanted.get("prefix", "")
        names = [n for n in sorted(self.objects) if n.startswith(prefix)][after:]
        blobs = "".join(
            f"<Blob>{element(n)}<Properties><Etag>{etag(self.objects[n])}</Etag>"
            f"<Content-Length>{len(self.objects[n])}</Content-Length></Properties></Blob>"
            for n in names[:most]
        )
        mark = str(after + most) if len(names) > most else ""
        return (
            '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults>'
            f"<Blobs>{blobs}</Blobs><NextMarker>{mark}</NextMarker></EnumerationResults>"
        ).encode()

    def _send(self, name: str, asked: Asked, writer: asyncio.StreamWriter) -> None:
        body = self.objects.get(name)
        if body is None or asked.headers.get("if-match", etag(body)) != etag(body):
            refuse(writer, 412 if body else 404, "ConditionNotMet")
            return
        start = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        at = int(start[1]) if start else 0
        part = {"Content-Range": f"bytes {at}-{len(body) - 1}/{len(body)}"} if start else {}
        if self.acts:
            send(writer, 200, {"Content-Length": str(len(body))}, body[: self.acts.pop(0)])
            writer.close()
            return
        send(writer, 206 if start else 200, part, body[at:])


def element(name: str) -> str:
    """A name; what XML cannot hold is encoded (since 2021-02-12)."""
    if any(ord(c) < 32 for c in name):
        return f'<Name Encoded="true">{quote(name)}</Name>'
    return f"<Name>{escape(name)}</Name>"


def etag(body: bytes) -> str:
    return f"0x{hashlib.sha256(body).hexdigest()[:15].upper()}"


def refuse(writer: asyncio.StreamWriter, status: int, code: str) -> None:
    body = f"\ufeff<Error><Code>{code}</Code><Message>{code} it is.\nRequestId:1</Message></Error>"
    send(writer, status, {"x-ms-error-code": code}, body.encode())
