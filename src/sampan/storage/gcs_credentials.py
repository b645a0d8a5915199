"""Where access tokens of Google come from.

Google, Application Default Credentials: a key of a service account (RFC 7523), a user's refresh
token, or the metadata server of a machine (Workload Identity of GKE).
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sampan.storage.base import StorageError
from sampan.storage.gcs_store import TokenSource
from sampan.storage.job import Job
from sampan.storage.objects.channel import Ask
from sampan.storage.objects.environment import make_settings_error
from sampan.storage.objects.tokens import (
    Obtain,
    Tokens,
    allowing,
    post_form,
    read_file,
    read_token,
    send,
)

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_SECONDS = 3600
_METADATA = "metadata.google.internal"
_METADATA_SECONDS = 1.0
"""The metadata server is on the machine; where it does not answer, there is none."""


async def make_token_source(variables: Mapping[str, str], job: Job) -> tuple[TokenSource, bool]:
    """Return where tokens come from, and whether there are none; raise StorageError."""
    path = variables.get(VARIABLE, "")
    if path:
        credentials = parse_credentials(await read_file(job, path, VARIABLE), path)
        return Tokens(job, _select(credentials, path, job)).token, False
    emulated = bool(variables.get("STORAGE_EMULATOR_HOST"))
    if job.options.ambient and not emulated:
        host = variables.get("GCE_METADATA_HOST") or _METADATA
        with suppress(StorageError):
            tokens = Tokens(job, lambda: _ask_metadata(host, job))
            await tokens.token()
            return tokens.token, False
    return _none, True


def parse_credentials(text: str, path: str) -> Mapping[str, Any]:
    """Return the content of a credentials file; StorageError names no value of it. Pure."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    kind = found.get("type") if isinstance(found, dict) else None
    wanted = _NEEDED.get(str(kind))
    if wanted is None or not isinstance(found, dict):
        raise make_settings_error(
            f'the credentials "{path}" of Google are of the type "{kind or "none"}"; give a JSON '
            f"file of the type {' or '.join(_NEEDED)}"
        )
    missing = [name for name in wanted if not found.get(name)]
    if missing:
        raise make_settings_error(
            f'the credentials "{path}" of Google have no "{missing[0]}"; download the key anew'
        )
    return found


_NEEDED = {
    "service_account": ("client_email", "private_key"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
}


def _select(credentials: Mapping[str, Any], path: str, job: Job) -> Obtain:
    url = str(credentials.get("token_uri") or _TOKEN_URL)
    about = f'the credentials "{path}"'
    if credentials["type"] == "authorized_user":
        names = _NEEDED["authorized_user"]
        form = {"grant_type": "refresh_token", **{n: str(credentials[n]) for n in names}}
        return lambda: post_form(job, url, form, about)

    async def exchange() -> tuple[str, float]:
        assertion = make_assertion(credentials, url, path, job.world.clock.now())
        return await post_form(job, url, {"grant_type": _GRANT, "assertion": assertion}, about)

    return exchange


def make_assertion(credentials: Mapping[str, Any], url: str, path: str, now: float) -> str:
    """Return a JSON Web Token signed with the account's key (RFC 7515, RS256); StorageError."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    claims = {
        "iss": credentials["client_email"],
        "scope": _SCOPE,
        "aud": url,
        "iat": int(now),
        "exp": int(now) + _LIFE_SECONDS,
    }
    header = {"alg": "RS256", "typ": "JWT", "kid": str(credentials.get("private_key_id") or "")}
    signed = ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
    try:
        key = load_pem_private_key(str(credentials["private_key"]).encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise make_settings_error(
            f'the "private_key" of the credentials "{path}" is no RSA key in PEM; download the key '
            "anew"
        )
    return f"{signed}.{_encode(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


async def _ask_metadata(host: str, job: Job) -> tuple[str, float]:
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    near = allowing(job, host.partition(":")[0], _METADATA_SECONDS)
    about = "Google's metadata server"
    return read_token(await send(near, Ask(url, {"Metadata-Flavor": "Google"}), about), about)


async def _none() -> str:
    return ""


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
