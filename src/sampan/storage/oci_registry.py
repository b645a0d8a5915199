"""A registry asked for manifests and blobs, with the tokens that it wants.

Distribution specification, "pull"; Docker's token authentication: a 401 names in `WWW-Authenticate`
where a token for the repository is given.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from sampan.storage.asking import Reply, ask, decode_json
from sampan.storage.base import StorageError
from sampan.storage.download import Partial
from sampan.storage.http_status import make_status_error
from sampan.storage.job import Job
from sampan.storage.oci_login import Login
from sampan.storage.oci_manifest import INDEXES, MANIFESTS
from sampan.storage.oci_reference import Reference
from sampan.storage.reporter import Reporter
from sampan.storage.retry import download_patiently
from sampan.storage.source import Source

MAX_MANIFEST_BYTES = 4 * 1024**2
"""Distribution specification, "Pushing Manifests": registries take at least 4 MB."""

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class Registry:
    """One repository of a registry, as one login sees it."""

    def __init__(
        self, reference: Reference, base: str, login: Login, parts: tuple[Job, Reporter]
    ) -> None:
        self._reference = reference
        self._base = base
        self._login = login
        self._parts = parts
        self._authorization = f"Bearer {login.bearer}" if login.bearer else ""

    async def manifest(self, version: str, attempts: int) -> tuple[Reply, str]:
        """Return a manifest and its digest, verified; raise StorageError."""
        accepted = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        shown, most = self._reference.shown, MAX_MANIFEST_BYTES
        reply = await ask(
            self._source(f"manifests/{version}"), self._parts, attempts, accepted, most
        )
        if reply.status == 401:
            await self._log_in(reply.headers, attempts)
            source = self._source(f"manifests/{version}")
            reply = await ask(source, self._parts, attempts, accepted, most)
        if reply.status != 200:
            raise self._refusal(reply.status, reply.headers)
        promised = version if ":" in version else reply.headers.get("docker-content-digest", "")
        name = "sha512" if promised.startswith("sha512:") else "sha256"
        digest = f"{name}:{hashlib.new(name, reply.body).hexdigest()}"
        if promised.startswith(("sha256:", "sha512:")) and promised != digest:
            raise StorageError(
                "ChecksumMismatch",
                f'the manifest of "{shown}" has the digest {digest}, and {promised} was promised; '
                "see what stands between this machine and the registry",
            )
        return reply, digest

    async def bring(self, digest: str, partial: Partial, reporter: Reporter) -> None:
        """Complete a blob's file; a token that expired meanwhile is replaced once."""
        job = self._parts[0]
        for last in (False, True):
            source, attempts = self._source(f"blobs/{digest}"), job.options.attempts
            try:
                await download_patiently(source, partial, None, (job, reporter), attempts)
            except StorageError as error:
                if last or error.reason != "AuthenticationFailed":
                    raise
                await self._renew()
            else:
                return

    async def _renew(self) -> None:
        attempts = self._parts[0].options.attempts
        self._authorization = ""
        reply = await ask(
            self._source(f"manifests/{self._reference.version}"), self._parts, attempts
        )
        if reply.status == 401:
            await self._log_in(reply.headers, attempts)

    def _source(self, path: str) -> Source:
        return Source(
            f"{self._base}/{path}", self._reference.shown, "", "", "", self._authorization
        )

    async def _log_in(self, headers: Mapping[str, str], attempts: int) -> None:
        """Do as the registry's challenge says; raise StorageError where nothing can be done."""
        challenge = headers.get("www-authenticate", "")
        bearer = re.search(r"\bBearer\s+(.*)", challenge, re.IGNORECASE)
        if bearer is None:
            if not self._login.basic:
                raise self._refusal(401, headers)
            self._authorization = f"Basic {self._login.basic}"
            return
        told = dict(_PARAMETER.findall(bearer[1]))
        source = self._token_source(told)
        reply = await ask(source, self._parts, attempts)
        if reply.status != 200:
            raise self._refusal(401 if reply.status in {400, 401, 403} else reply.status, headers)
        answer = decode_json(reply, source)
        token = (
            answer.get("token") or answer.get("access_token")
            if isinstance(answer, Mapping)
            else None
        )
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._refusal(401, headers)
        self._authorization = f"Bearer {token}"

    def _token_source(self, told: Mapping[str, str]) -> Source:
        realm = told.get("realm", "")
        schemes = {"https"} if self._base.startswith("https:") else {"http", "https"}
        try:
            parts = urlsplit(realm)
            usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise StorageError(
                "SourceRefused",
                f'the registry of "{self._reference.shown}" sends whoever logs in to "{realm}", '
                "which is no https address; see to the registry's configuration",
            )
        asked = {"scope": f"repository:{self._reference.repository}:pull"}
        if told.get("service"):
            asked["service"] = told["service"]
        url = f"{realm}{'&' if parts.query else '?'}{urlencode(asked)}"
        basic = f"Basic {self._login.basic}" if self._login.basic else ""
        return Source(url, self._reference.shown, "", "", "", basic)

    def _refusal(self, status: int, headers: Mapping[str, str]) -> StorageError:
        shown, registry = self._reference.shown, self._reference.registry
        if status == 401 and self._login == Login():
            return StorageError(
                "AuthenticationFailed",
                f'OCI authentication failed for "{shown}": the registry "{registry}" wants a '
                f"login (or has no such image); log in with docker login {registry}, or give an "
                "imagePullSecret",
            )
        if status == 401:
            return StorageError(
                "AuthenticationFailed",
                f'OCI authentication failed for "{shown}": the registry "{registry}" does not take '
                "the login that is configured for it; log in anew, or write the Secret anew",
            )
        if status == 404:
            return StorageError(
                "ModelNotFound",
                f'OCI resource "{shown}" not found (status 404); check the repository and the '
                "tag or digest",
            )
        return make_status_error(shown, status, headers)
