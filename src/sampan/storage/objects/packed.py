"""An object that is stored compressed under its own name (`Content-Encoding: gzip`), unpacked."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from sampan.storage.archive.limits import Limits
from sampan.storage.base import CHECK_BYTES, StorageError
from sampan.storage.objects.selection import StoredObject
from sampan.storage.space import show_bytes

_READ_BYTES = 1024**2


def unpack_object(found: StoredObject, body: Path, target: Path, limits: Limits) -> int:
    """Write what an object's bytes unpack to, and return their number.

    Raise StorageError for damage, for too much and for too little room. `limits` are of this one.
    """
    most = int(min(limits.max_bytes, max(found.size, 1024) * limits.max_ratio))
    written = unchecked = 0
    try:
        with gzip.open(body) as source, target.open("xb") as file:
            while chunk := source.read(_READ_BYTES):
                written += len(chunk)
                if written > most:
                    raise StorageError(
                        "ArchiveTooLarge",
                        f'the object "{found.name}" is stored compressed and unpacks to more than '
                        f"{show_bytes(most)}; store it as it is",
                    )
                if unchecked <= 0:
                    limits.require_space(len(chunk))
                    unchecked = CHECK_BYTES
                unchecked -= len(chunk)
                file.write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StorageError(
            "ArchiveInvalid",
            f'the object "{found.name}" says that it is stored compressed (Content-Encoding gzip), '
            f"and is not ({error}); upload it anew",
        ) from None
    body.unlink()
    target.chmod(0o444)
    return written
