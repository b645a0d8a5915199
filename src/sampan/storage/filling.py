"""What makes a file that is here into the content of a cache entry: unpacked, or as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sampan.storage.archive.limits import make_limits
from sampan.storage.archive.names import ArchiveKind
from sampan.storage.archive.unpack import Packed, unpack
from sampan.storage.base import StorageError
from sampan.storage.cache import Cache, Facts, Slot, measure_tree
from sampan.storage.job import Job
from sampan.storage.space import require_space


def fill(
    cache: Cache,
    slot: Slot,
    packed: Packed,
    job: Job,
    stop: threading.Event,
    told: Callable[[int], None],
) -> None:
    """Fill the stage of a slot from a file; the file itself moves there when it is no archive."""
    cache.clear_stage(slot)
    if packed.kind is ArchiveKind.NONE:
        packed.path.chmod(0o444)
        packed.path.replace(slot.content / packed.name)
        return
    options, free_bytes = job.options, job.world.free_bytes

    def require(needed: int) -> None:
        require_space(slot.content, needed, options.reserve_bytes, free_bytes)

    unpack(packed, slot.content, make_limits(options, require), stop, told)
    packed_files = measure_tree(slot.content)[1]
    if not packed_files:
        raise StorageError(
            "ModelNotFound",
            f'the archive "{packed.name}" holds no file; make it anew with the model in it',
        )


def make_facts(
    slot: Slot, shown: str, now: float, etag: str = "", last_modified: str = ""
) -> Facts:
    """Return what is known of the stage's content."""
    size, files = measure_tree(slot.content)
    return Facts(shown, size, files, now, etag, last_modified)
