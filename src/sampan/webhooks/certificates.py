"""The webhooks' certificates: made by the operator itself, kept in a Secret, renewed in time.

A new certificate has a new authority (its key is forgotten, `sampan.machinery.authority`). What
API servers trust is the new authority and the one before it, so that replicas which still show the
old certificate are believed until they have read the new one.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from sampan.machinery.authority import Pair, make_pair, read_end
from sampan.machinery.registry import JsonObject

VALID_DAYS = 365.0
RENEW_DAYS = 90.0
"""Before the end: long enough for somebody to see that renewing fails."""
AUTHORITY_NAME = "sampan webhook authority"
SECRET_NAME = "sampan-webhook-certificate"  # noqa: S105  # an object's name
_KEYS = ("ca.crt", "tls.crt", "tls.key")
_BEGIN = b"-----BEGIN CERTIFICATE-----"


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """Return the names under which API servers may ask a Service."""
    return tuple(f"{service}.{namespace}{end}" for end in ("", ".svc", ".svc.cluster.local"))


def read_pair(secret: Mapping[str, Any] | None, names: tuple[str, ...], now: float) -> Pair | None:
    """Return the pair in a Secret; None where it is not good for these names for long enough."""
    data = (secret or {}).get("data") or {}
    try:
        authority, certificate, key = (base64.b64decode(data[k], validate=True) for k in _KEYS)
        good = _good(certificate, names, now)
    except (KeyError, TypeError, ValueError):
        return None
    return Pair(authority, certificate, key) if good else None


def _good(certificate: bytes, names: tuple[str, ...], now: float) -> bool:
    from cryptography import x509

    found = x509.load_pem_x509_certificate(certificate)
    try:
        shown = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    there = {*shown.get_values_for_type(x509.DNSName)}
    there |= {str(a) for a in shown.get_values_for_type(x509.IPAddress)}
    begun = found.not_valid_before_utc.timestamp() <= now  # else its maker's clock was ahead
    return there >= set(names) and begun and read_end(certificate) - now > RENEW_DAYS * 86400


def make_secret(
    namespace: str, names: tuple[str, ...], now: float, old: Mapping[str, Any] | None = None
) -> JsonObject:
    """Return a Secret with a fresh pair, in the place of `old` where there is one."""
    pair = make_pair(AUTHORITY_NAME, names, now, VALID_DAYS)
    bundle = pair.authority + _first_authority(old)
    texts = dict(zip(_KEYS, (bundle, pair.certificate, pair.key), strict=True))
    version = ((old or {}).get("metadata") or {}).get("resourceVersion")
    metadata = {"name": SECRET_NAME, "namespace": namespace}
    if version:
        metadata["resourceVersion"] = version
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(text).decode() for name, text in texts.items()},
    }


def _first_authority(secret: Mapping[str, Any] | None) -> bytes:
    """Return the authority of the certificate that is shown now, b"" where none is known."""
    text = ((secret or {}).get("data") or {}).get("ca.crt")
    try:
        bundle = base64.b64decode(text or "", validate=True)
    except ValueError:
        return b""
    parts = bundle.split(_BEGIN)
    return _BEGIN + parts[1] if len(parts) > 1 else b""
