"""`https://ACCOUNT.blob.core.windows.net/container/path`: objects of Azure Blob Storage.

KServe, storage initializer: a query is a shared access signature; else a service principal, a
workload's identity or an account key in variables; else nothing, for public containers.
`AZURE_SERVICE_URL` names another server (Azurite).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from sampan.storage.azure_credentials import make_authorizer
from sampan.storage.azure_store import AzureAccount, AzureStore
from sampan.storage.base import Fetched, StorageError
from sampan.storage.job import Job
from sampan.storage.objects.environment import make_settings_error, read_number
from sampan.storage.objects.fetching import fetch_objects
from sampan.storage.objects.store import Place
from sampan.storage.uri import redact

_BLOBS = re.compile(r"([a-z0-9-]+)\.(blob\.core\.windows\.net|z\d+\.blob\.storage\.azure\.net)")
_SHARES = re.compile(r"[a-z0-9-]+\.(file\.core\.windows\.net|z\d+\.file\.storage\.azure\.net)")
_CONCURRENCY = 4
_UNLISTED = frozenset({"AccessDenied", "AuthenticationFailed", "ModelNotFound"})
"""What a listing is refused with where single blobs may be read all the same."""


def is_azure(uri: str) -> bool:
    """Tell whether a URI names blobs, or a file share that cannot be read like a web page. Pure."""
    with suppress(ValueError):
        parts = urlsplit(uri)
        host = (parts.hostname or "").lower()
        share = bool(_SHARES.fullmatch(host)) and not parts.query
        return parts.scheme.lower() == "https" and (bool(_BLOBS.fullmatch(host)) or share)
    return False


async def fetch(uri: str, job: Job) -> Fetched:
    """Return the folder of a container's model; raise StorageError, OSError.

    A blob may be public, or signed for, where its container's listing is not: then it is downloaded
    like a file of any web server.
    """
    variables = job.options.environment
    account, place, query = parse_uri(uri, variables)
    authorizer = await make_authorizer(variables, account, query, job)
    concurrency = int(read_number(variables, "AZURE_MAX_FILE_CONCURRENCY") or _CONCURRENCY)
    store = AzureStore(account, place, authorizer, job.world.clock, concurrency)
    try:
        return await fetch_objects(store, job, signature=query)
    except StorageError as error:
        single = place.path and not place.folder and (query or store.anonymous)
        if not single or error.reason not in _UNLISTED or variables.get("AZURE_SERVICE_URL"):
            raise
        from sampan.storage.https import fetch_file

        with suppress(StorageError):
            return await fetch_file(uri, job)
        raise


def parse_uri(uri: str, variables: Mapping[str, str]) -> tuple[AzureAccount, Place, str]:
    """Return account, place and query of a URI; raise StorageError. Pure."""
    shown, parts = redact(uri), urlsplit(uri)
    host = (parts.hostname or "").lower()
    if _SHARES.fullmatch(host):
        raise StorageError(
            "UnsupportedScheme",
            f'the storage URI "{shown}" names a file share of Azure, which is not read here; copy '
            "the model into a blob container, or mount the share as a claim and write pvc://",
        )
    container, _, path = unquote(parts.path).lstrip("/").partition("/")
    if not re.fullmatch(r"\$root|\$web|[a-z0-9][a-z0-9-]{0,62}", container):
        raise StorageError(
            "InvalidURI",
            f'the storage URI "{shown}" has no container that can be: "{container}"; '
            "write https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH",
        )
    if "\0" in path or any(part in {".", ".."} for part in path.split("/")):
        raise StorageError(
            "InvalidURI",
            f'the path of the storage URI "{shown}" has "." or ".." in it; write the names of the '
            "blobs as a listing shows them",
        )
    path = path.lstrip("/")
    place = Place(container, path.rstrip("/"), shown, folder=path.endswith("/"))
    return _account(host, variables), place, parts.query


def _account(host: str, variables: Mapping[str, str]) -> AzureAccount:
    found = _BLOBS.fullmatch(host)
    name = found[1] if found else host.partition(".")[0]
    given = variables.get("AZURE_SERVICE_URL", "").rstrip("/")
    if not given:
        return AzureAccount(name, f"https://{host}")
    try:
        parts = urlsplit(given)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or any(ord(c) < 33 for c in given):
        raise make_settings_error(
            f'AZURE_SERVICE_URL is "{given.partition("?")[0]}"; write http://host:port/account or '
            "https://ACCOUNT.blob.core.windows.net"
        )
    return AzureAccount(variables.get("AZURE_ACCOUNT_NAME") or name, given)
