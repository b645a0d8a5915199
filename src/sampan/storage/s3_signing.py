"""Signatures of S3 requests: AWS Signature Version 4. Pure.

AWS, Signature Version 4 ("Authenticating Requests: Using the Authorization Header"): a path is
encoded once, a query is sorted, and only Host and the x-amz headers need to be signed; `Range` and
`If-Match` may be added freely.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from sampan.storage.network import host_header

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """A key pair, and the token of a temporary one. `expires`: epoch seconds, 0 for never."""

    id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires: float = 0.0


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request that is to be signed. `sha256` is that of its body."""

    url: str
    method: str = "GET"
    sha256: str = EMPTY_SHA256


def sign(
    url: str,
    keys: AwsKeys,
    region: str,
    now: float,
    more: Mapping[str, str] | None = None,
    service: str = "s3",
) -> dict[str, str]:
    """Return the headers that sign a GET of `url`; `more` headers are signed too. `now`: epoch."""
    return sign_request(Unsigned(url), keys, region, now, more, service)


def sign_request(
    asked: Unsigned,
    keys: AwsKeys,
    region: str,
    now: float,
    more: Mapping[str, str] | None = None,
    service: str = "s3",
) -> dict[str, str]:
    """Return the headers that sign a request, as `sign` does for one that only reads."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        **{name.lower(): value for name, value in (more or {}).items()},
        "host": host_header(asked.url),
        "x-amz-content-sha256": asked.sha256,
        "x-amz-date": stamp,
        **({"x-amz-security-token": keys.token} if keys.token else {}),
    }
    names = ";".join(sorted(headers))
    parts = urlsplit(asked.url)
    canonical = "\n".join(
        (
            asked.method,
            parts.path or "/",
            make_query(parse_qsl(parts.query, keep_blank_values=True)),
            "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers)),
            names,
            asked.sha256,
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}").hex()
    credential = f"{keys.id}/{scope}"
    authorization = (
        f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    return {**{k: v for k, v in headers.items() if k != "host"}, "Authorization": authorization}


def make_query(pairs: list[tuple[str, str]]) -> str:
    """Return a query as signatures want it: encoded (RFC 3986, unreserved) and sorted."""
    encoded = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in pairs)
    return "&".join(f"{k}={v}" for k, v in encoded)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
