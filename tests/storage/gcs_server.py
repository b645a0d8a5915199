"""A small Google Cloud Storage on loopback, with a token endpoint that checks assertions."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.storage.s3_server import S3, Asked, send

ACCOUNT = "reader@project.iam.gserviceaccount.com"


@dataclass
class Gcs(S3):
    """Bucket `models`; `packed` are names of objects that are stored compressed."""

    key: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65537, 2048))
    packed: set[str] = field(default_factory=set)
    tokens: int = 0
    lives: int = 3600

    @property
    def credentials(self) -> dict[str, str]:
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return {
            "type": "service_account",
            "client_email": ACCOUNT,
            "private_key": pem.decode(),
            "token_uri": f"http://127.0.0.1:{self.port}/token",
        }

    def stored(self, name: str) -> bytes:
        body = self.objects[name]
        return gzip.compress(body, mtime=0) if name in self.packed else body

    def generation(self, name: str) -> str:
        return str(sum(self.stored(name)) + 1)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        path, _, query = asked.target.partition("?")
        if path == "/token":
            self._give(await self.read_form(asked), writer)
            return
        if not self.public and asked.headers.get("authorization") != f"Bearer t{self.tokens}":
            refuse(writer, 401, "UNAUTHENTICATED")
            return
        found = re.fullmatch(r"/storage/v1/b/([^/]+)/o(?:/([^/]+))?", path)
        wanted = {k: v[0] for k, v in parse_qs(query, keep_blank_values=True).items()}
        if not found or found[1] != "models":
            refuse(writer, 404, "notFound")
        elif found[2] is None:
            send(writer, 200, {}, self._listing(wanted))
        else:
            self._send(unquote(found[2]), wanted, asked, writer)
        await writer.drain()

    async def read_form(self, asked: Asked) -> dict[str, str]:
        body = await self.reader.readexactly(int(asked.headers["content-length"]))
        return {k: v[0] for k, v in parse_qs(body.decode()).items()}

    def _give(self, form: dict[str, str], writer: asyncio.StreamWriter) -> None:
        signed, _, signature = form["assertion"].rpartition(".")
        self.key.public_key().verify(decode(signature), signed.encode(), PKCS1v15(), SHA256())
        claims = json.loads(decode(signed.split(".")[1]))
        if claims["iss"] != ACCOUNT or claims["aud"] != self.credentials["token_uri"]:
            refuse(writer, 400, "invalid_grant")
            return
        self.tokens += 1
        told = {"access_token": f"t{self.tokens}", "expires_in": self.lives}
        send(writer, 200, {}, json.dumps(told).encode())

    def _listing(self, wanted: dict[str, str]) -> bytes:
        most, after = min(int(wanted["maxResults"]), self.page), wanted.get("pageToken", "")
        names = [n for n in sorted(self.objects) if n.startswith(wanted["prefix"]) and n > after]
        items = [
            {
                "name": n,
                "size": str(len(self.stored(n))),
                "generation": self.generation(n),
                **({"contentEncoding": "gzip"} if n in self.packed else {}),
            }
            for n in names[:most]
        ]
        more = {"nextPageToken": names[most - 1]} if len(names) > most else {}
        return json.dumps({"items": items, **more} if items else {}).encode()

    def _send(
        self, name: str, wanted: dict[str, str], asked: Asked, writer: asyncio.StreamWriter
    ) -> None:
        if name not in self.objects or wanted["generation"] != self.generation(name):
            refuse(writer, 404, "notFound")
            return
        body = self.stored(name)
        start = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        at = int(start[1]) if start else 0
        headers = {"Content-Encoding": "gzip"} if name in self.packed else {}
        if start:
            headers["Content-Range"] = f"bytes {at}-{len(body) - 1}/{len(body)}"
        if self.acts:
            cut = self.acts.pop(0)
            send(writer, 200, {**headers, "Content-Length": str(len(body))}, body[:cut])
            writer.close()
            return
        send(writer, 206 if start else 200, headers, body[at:])


def refuse(writer: asyncio.StreamWriter, status: int, code: str) -> None:
    told = {"error": {"code": status, "message": f"{code} it is", "status": code}}
    send(writer, status, {"Content-Type": "application/json"}, json.dumps(told).encode())


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
