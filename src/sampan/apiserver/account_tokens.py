"""Tokens of ServiceAccounts: JSON Web Tokens that this server signs and checks (RFC 7519).

Signed with HMAC-SHA256 by a key that never leaves the state folder, so nothing but this server
needs to check them (others ask it, by a TokenReview). The claims are those of Kubernetes's bound
tokens: they end, and a token dies with its ServiceAccount. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, field

from sampan.apiserver.identity import ACCOUNT_PREFIX
from sampan.machinery.registry import JsonObject

ISSUER = "https://kubernetes.default.svc"
HEADER = {"alg": "HS256", "typ": "JWT"}
MAX_TOKEN = 4096


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: which ServiceAccount, for whom, until when (seconds since the epoch)."""

    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...] = (ISSUER,)
    issued: int = 0
    expires: int = 0


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """Makes and reads tokens with one key."""

    key: bytes = field(repr=False)

    def make_token(self, claims: Claims) -> str:
        """Return the signed token."""
        body = f"{_encoded(HEADER)}.{_encoded(_payload(claims))}"
        return f"{body}.{self._signature(body)}"

    def parse_token(self, token: str) -> Claims | None:
        """Return the claims of a token that this key signed, None for any other text."""
        body, _, signature = token.rpartition(".")
        if not body or len(token) > MAX_TOKEN:
            return None
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode()):
            return None
        return _claims(_decoded(body.partition(".")[2]))

    def _signature(self, body: str) -> str:
        return _base64(hmac.new(self.key, body.encode(), hashlib.sha256).digest())


def _payload(claims: Claims) -> JsonObject:
    account = {"name": claims.name, "uid": claims.uid}
    return {
        "aud": list(claims.audiences),
        "exp": claims.expires,
        "iat": claims.issued,
        "iss": ISSUER,
        "kubernetes.io": {"namespace": claims.namespace, "serviceaccount": account},
        "nbf": claims.issued,
        "sub": f"{ACCOUNT_PREFIX}{claims.namespace}:{claims.name}",
    }


def _claims(payload: JsonObject) -> Claims | None:
    bound = payload.get("kubernetes.io") or {}
    account = bound.get("serviceaccount") or {}
    if payload.get("iss") != ISSUER or not account.get("uid"):
        return None
    return Claims(
        bound["namespace"],
        account["name"],
        account["uid"],
        tuple(payload.get("aud") or ()),
        int(payload["iat"]),
        int(payload["exp"]),
    )


def _encoded(value: JsonObject) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _decoded(text: str) -> JsonObject:
    try:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return value if isinstance(value, dict) else {}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
