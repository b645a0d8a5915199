"""URIs as people write them: their scheme, and how they are shown without a secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from sampan.machinery.suggest import suggest
from sampan.storage.base import StorageError

_AZURES = frozenset({"abfs", "abfss", "wasb", "wasbs", "az", "azure", "adl"})
_AZURE = "write https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH"
_MENDS = {
    **dict.fromkeys(_AZURES, _AZURE),
    "modelscope": "take the model from hf://OWNER/MODEL where it is there too, or download it and "
    "give its path",
    "hdfs": "write the file's address of WebHDFS, https://NAMENODE/webhdfs/v1/PATH?op=OPEN, or "
    "copy the model and give its path",
    "webhdfs": "write the file's address, https://NAMENODE/webhdfs/v1/PATH?op=OPEN, or copy the "
    "model and give its path",
    "docker": "write oci://REGISTRY/REPOSITORY:TAG",
    "huggingface": "write hf://OWNER/MODEL",
}
"""What mends a scheme that others have, where the nearest name does not."""

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):(?=//)")


def select_scheme(uri: str, known: Iterable[str]) -> str:
    """Return the scheme of a URI, lower-case; `file` for an absolute path. Raise StorageError."""
    schemes = list(known)
    if uri.startswith("/"):
        return "file"
    found = _SCHEME.match(uri)
    if found is None:
        raise StorageError(
            "InvalidURI",
            f'the storage URI "{redact(uri)}" is neither an absolute path nor scheme://...; '
            f"write the whole path, or one of {_listed(schemes)}",
        )
    scheme = found[1].lower()
    if scheme not in schemes:
        near = suggest(scheme, schemes)
        mend = f'write "{near}://"' if near else "use one of these, or a local path"
        mend = _MENDS.get(scheme, mend)
        raise StorageError(
            "UnsupportedScheme",
            f'the scheme "{scheme}" of the storage URI "{redact(uri)}" is not supported here '
            f"(supported: {_listed(schemes)}); {mend}",
        )
    return scheme


def redact(uri: str) -> str:
    """Return a URI fit for logs and errors: no user, no password, no value of a query.

    Signed URLs carry their secret under many names (`sig`, `X-Amz-Signature`, `token`), so the
    whole query goes. Of what cannot be split (a password with a slash), only the scheme is shown.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return uri.partition("://")[0][:20] + "://…"
    if parts.scheme.lower() not in {"http", "https"}:
        return re.sub(r"//[^/@]*@", "//", uri)
    host = parts.netloc.rpartition("@")[2]
    query = "?…" if parts.query else ""
    return f"{parts.scheme}://{host}{parts.path}{query}"


def _listed(schemes: Iterable[str]) -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes)
