"""`pvc://claim/path`: a folder under `FetchOptions.volumes` stands for a PersistentVolumeClaim.

The folder of a claim is made when first asked for, so that a person can put a model there; a link
in its place may point to any folder of the machine. Inside, nothing leads out: a volume mounted in
a cluster has no outside either.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path, PurePosixPath

from sampan.storage.base import Fetched, StorageError
from sampan.storage.file import serve_path
from sampan.storage.job import Job

_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""A Kubernetes object name (DNS-1123 subdomain)."""


async def fetch(uri: str, job: Job) -> Fetched:
    """Return the folder that a claim's path stands for; raise StorageError, OSError."""
    claim, inside = select_claim(uri)
    path = await asyncio.to_thread(_locate, uri, job.options.volumes / claim, inside)
    return await serve_path(uri, path, job)


def select_claim(uri: str) -> tuple[str, PurePosixPath]:
    """Return a URI's claim and the path inside of it. Pure; raise StorageError."""
    claim, _, inside = uri.partition("://")[2].partition("/")
    if ".." in claim or not _CLAIM.fullmatch(claim):
        raise StorageError(
            "InvalidURI",
            f'the claim "{claim}" of the storage URI "{uri}" is not a Kubernetes name; '
            "write pvc://claim/path with lower-case letters, digits and dashes",
        )
    path = PurePosixPath(inside.strip("/"))
    if ".." in path.parts or "\0" in inside:
        raise StorageError(
            "InvalidURI",
            f'the path "{inside}" of the storage URI "{uri}" leads out of its volume; '
            'write it without ".."',
        )
    return claim, path


def _locate(uri: str, volume: Path, inside: PurePosixPath) -> Path:
    volume.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = volume.resolve()
    path = root / inside
    if not path.exists():
        raise StorageError(
            "ModelNotFound",
            f'the claim of the storage URI "{uri}" holds no "{inside}"; '
            f'its folder on this machine is "{volume}": put the model there',
        )
    links = [path, *path.rglob("*")] if path.is_dir() else [path]
    outside = next((p for p in links if not p.resolve().is_relative_to(root)), None)
    if outside is not None:
        raise StorageError(
            "SourceRefused",
            f'"{outside}" in the volume of the storage URI "{uri}" is a link that leads out of it; '
            "put the file itself into the volume",
        )
    return path
