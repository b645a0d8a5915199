"""An object that is stored compressed under its own name (`Content-Encoding: gzip`), unpacked."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.objects.selection import StoredObject
from sampan.storage.space import show_bytes

_READ_BYTES = 1024**2


def unpack_object(found: StoredObject, body: Path, target: Path, options: FetchOptions) -> None:
    """Write what an object's bytes unpack to; raise StorageError for damage and for too much."""
    most = int(min(options.max_bytes, max(found.size, 1024) * options.max_ratio))
    written = 0
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
                file.write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StorageError(
            "ArchiveInvalid",
            f'the object "{found.name}" says that it is stored compressed (Content-Encoding gzip), '
            f"and is not ({error}); upload it anew",
        ) from None
    body.unlink()
    target.chmod(0o444)
