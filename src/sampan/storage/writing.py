"""Writing small objects to a store: logs, not models.

The schemes, the variables of credentials and the rules of addresses are those of fetching.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from sampan.storage.base import Progress, StorageError
from sampan.storage.job import Job, World
from sampan.storage.objects.place import parse_place
from sampan.storage.objects.store import Place
from sampan.storage.pod_environment import make_pod_options

_S3 = frozenset({"s3", "s3a"})
SCHEMES = tuple(sorted(_S3))
"""Of the stores that are written to."""


class Writer(Protocol):
    """One bucket."""

    async def put(self, name: str, content: bytes) -> None:
        """Write an object whole, in the place of one of its name; raise StorageError."""


def parse_destination(url: str) -> Place:
    """Return the bucket and the path of a URL; raise StorageError. Pure."""
    scheme = urlsplit(url).scheme
    if scheme not in _S3:
        named = " or ".join(f"{name}://" for name in SCHEMES)
        raise StorageError(
            "UnsupportedScheme", f'nothing writes to "{scheme}://"; name a bucket by {named}'
        )
    return parse_place(url, scheme)


async def open_writer(place: Place, environment: Mapping[str, str]) -> Writer:
    """Return what writes to a bucket, as a pod's variables say; raise StorageError."""
    from sampan.storage import s3_writing

    options = make_pod_options(environment, Path(tempfile.gettempdir()))
    return await s3_writing.open_writer(place, Job(options, _tell_nobody, World()))


def _tell_nobody(_: Progress) -> None:
    """Writing is quick: there is no progress to tell."""
