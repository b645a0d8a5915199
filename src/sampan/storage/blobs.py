"""Files and unpacked layers by where they are from and what they hash to, shared by entries.

    blobs/KEY    a file, or a folder of files: entries hold further names (hard links) of the same

Two revisions of a model that share their weights take the room of one, and a fetch that was killed
finds every file that was whole. A blob that no entry has a name of may go at any time: `link` takes
it or does not, there is nothing between.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sampan.storage.cache import Cache, make_key

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV})
"""What file systems say that know no hard links, or no more of them."""


def find_blob(cache: Cache, digest: str) -> Path:
    """Return where the blob of a digest is, if it is."""
    return cache.root / "blobs" / make_key(digest)


def link_file(cache: Cache, digest: str, target: Path) -> bool:
    """Give a blob a further name; False where there is no such blob."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        target.unlink(missing_ok=True)
        share(find_blob(cache, digest), target)
    except FileNotFoundError:
        return False
    return True


def keep_file(cache: Cache, digest: str, file: Path, target: Path) -> None:
    """Move a file, which hashes to `digest`, to its name in an entry, and keep it as a blob too."""
    file.chmod(0o444)
    blob = find_blob(cache, digest)
    blob.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(file, blob)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.replace(target)


def keep_blob(cache: Cache, digest: str, found: Path) -> None:
    """Move a file, or the folder of an unpacked layer, to its place."""
    blob = find_blob(cache, digest)
    blob.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        found.replace(blob)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        shutil.rmtree(found)  # another fetch has brought the same


def share(file: Path, target: Path) -> None:
    """Give a file a further name; where the file system has no such thing, copy it."""
    try:
        os.link(file, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(file, target, follow_symlinks=False)


def list_unshared(cache: Cache) -> Iterator[Path]:
    """Yield the blobs that no entry has a name of."""
    with suppress(FileNotFoundError):
        for blob in (cache.root / "blobs").iterdir():
            files = [blob] if blob.is_file() else _files(blob)
            if not any(_links(file) > 1 for file in files):
                yield blob


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def _links(file: Path) -> int:
    try:
        return file.stat().st_nlink
    except FileNotFoundError:
        return 0
