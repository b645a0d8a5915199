"""Signatures of Azure's storage requests by an account key. Pure.

Azure, "Authorize with Shared Key": the string to sign holds the method, eleven headers, the x-ms
headers and the resource with its query.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

_SIGNED = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


def sign(url: str, headers: Mapping[str, str], account: str, key: str) -> str:
    """Return the header Authorization of a GET; ValueError where the key is no base64."""
    lower = {name.lower(): value for name, value in headers.items()}
    parts = urlsplit(url)
    own = "".join(f"{n}:{lower[n]}\n" for n in sorted(lower) if n.startswith("x-ms-"))
    query = sorted((n.lower(), v) for n, v in parse_qsl(parts.query, keep_blank_values=True))
    resource = f"/{account}{parts.path}" + "".join(f"\n{n}:{v}" for n, v in query)
    text = "\n".join(("GET", *(lower.get(name, "") for name in _SIGNED), f"{own}{resource}"))
    digest = hmac.new(b64decode(key, validate=True), text.encode(), hashlib.sha256).digest()
    return f"SharedKey {account}:{b64encode(digest).decode()}"
