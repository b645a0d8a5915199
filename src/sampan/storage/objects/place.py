"""`scheme://bucket/path` taken apart. Pure."""

from __future__ import annotations

import re

from sampan.storage.base import StorageError
from sampan.storage.objects.store import Place

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
"""Wider than any store's own rule, and nothing in it changes a URL."""


def parse_place(uri: str, scheme: str) -> Place:
    """Return the bucket and the path of a URI; raise StorageError.

    Paths are names of objects as they are: `%20` and `?` are letters of them.
    """
    bucket, _, path = uri.partition("://")[2].partition("/")
    shown = f"{scheme}://{bucket}/{path}"
    if not _BUCKET.fullmatch(bucket):
        # Keys before an "@" are Hadoop's habit, and a secret key may have slashes.
        rest = re.sub(r"^.*@", "…@", f"{bucket}/{path}", flags=re.DOTALL)
        raise StorageError(
            "InvalidURI",
            f'the storage URI "{scheme}://{rest}" has no bucket that can be: '
            f'"{rest.partition("/")[0]}"; write {scheme}://bucket/path, and keys into a Secret',
        )
    if "\0" in path or any(part in {".", ".."} for part in path.split("/")):
        raise StorageError(
            "InvalidURI",
            f'the path of the storage URI "{shown}" has "." or ".." in it; write the names of the '
            "objects as a listing shows them",
        )
    path = path.lstrip("/")
    return Place(bucket, path.rstrip("/"), shown, folder=path.endswith("/"))
