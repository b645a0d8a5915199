"""Cutting the head off a file that others keep appending to, without losing a byte.

Writers hold the file open with O_APPEND, so they write at whatever its end is. The head is copied
to a part file first, then removed in whole blocks:

- `FALLOC_FL_COLLAPSE_RANGE` (ext4, XFS) shifts the rest to the front; the end moves with it,
  atomically for writers.
- `FALLOC_FL_PUNCH_HOLE` (tmpfs, btrfs and others) frees the blocks but keeps positions, so the
  file grows on paper only; readers begin behind the hole.
- Where neither is there (macOS) a file is not cut while its writer lives; it becomes a part of
  the previous log at the replica's next restart.

A crash between copy and cut repeats bytes; it never loses any.
"""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE_RANGE = 0x01, 0x02, 0x08  # linux/falloc.h


def parts(path: Path) -> list[Path]:
    """Return the file and its parts that exist, newest first."""
    found = [path] if path.exists() else []
    number = 1
    while (part := path.with_name(f"{path.name}.{number}")).exists():
        found.append(part)
        number += 1
    return found


def partial_path(path: Path) -> Path:
    """Return where a head is copied to before it becomes a part."""
    return path.with_name(f"{path.name}.partial")


def data_start(descriptor: int) -> int:
    """Return where the file's data begin: behind the hole that a cut has left, else 0."""
    if not hasattr(os, "SEEK_DATA"):
        return 0
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # no data at all
            return os.fstat(descriptor).st_size
        return 0


@dataclass(frozen=True, slots=True)
class Head:
    """A head that has been copied to `partial` and can now be cut off the file."""

    descriptor: int
    start: int
    length: int
    partial: Path


def copy_head(path: Path, max_bytes: int) -> Head | None:
    """Copy the first `max_bytes` (whole blocks) beside the file; None while it is not larger.

    The answer must be given to `cut_head`, which closes its descriptor. Raises OSError where the
    disk does not take the copy; nothing is left of it then.
    """
    if sys.platform != "linux" or not path.exists():
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    head = None
    try:
        head = _copied(path, descriptor, max_bytes)
    finally:
        if head is None:
            os.close(descriptor)
    return head


def _copied(path: Path, descriptor: int, max_bytes: int) -> Head | None:
    block = os.fstatvfs(descriptor).f_frsize or 4096
    length = max(block, max_bytes - max_bytes % block)
    start = data_start(descriptor)
    if os.fstat(descriptor).st_size - start <= length:
        return None
    partial = partial_path(path)
    target = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    whole = False
    try:
        whole = _copy(descriptor, target, start, length)
    finally:
        os.close(target)
        if not whole:
            partial.unlink()
    return Head(descriptor, start, length, partial) if whole else None


def cut_head(path: Path, head: Head, max_files: int) -> int | None:
    """Remove the head and publish its copy as part 1, keeping `max_files` files in all.

    Returns by how many bytes positions in the file have moved to the front; None when nothing
    was cut, because the file system cannot or another file has taken the place.
    """
    try:
        shifted = _remove_head(path, head)
    finally:
        os.close(head.descriptor)
    if shifted is None:
        head.partial.unlink(missing_ok=True)
        return None
    _shift_parts(path, max_files)
    head.partial.replace(path.with_name(path.name + ".1"))
    return shifted


def _remove_head(path: Path, head: Head) -> int | None:
    if not path.exists() or path.stat().st_ino != os.fstat(head.descriptor).st_ino:
        return None
    if head.start == 0 and _fallocate(head.descriptor, _COLLAPSE_RANGE, 0, head.length):
        return head.length
    if _fallocate(head.descriptor, _PUNCH_HOLE | _KEEP_SIZE, 0, head.start + head.length):
        return 0
    return None


def _shift_parts(path: Path, max_files: int) -> None:
    older = parts(path)[1:]
    for number, part in reversed(list(enumerate(older, start=1))):
        if number + 1 >= max_files:
            part.unlink()
        else:
            part.replace(path.with_name(f"{path.name}.{number + 1}"))


def _copy(source: int, target: int, start: int, length: int) -> bool:
    """Copy so many bytes; False where the file ends before: its writer has just emptied it."""
    done = 0
    while done < length:
        chunk = os.pread(source, min(1 << 20, length - done), start + done)
        if not chunk:
            return False
        done += os.write(target, chunk)  # a disk that is nearly full takes a part of it
    return True


def _fallocate(descriptor: int, mode: int, start: int, length: int) -> bool:
    """Call fallocate(2); return False where the file system does not know the mode."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    offset, size = ctypes.c_int64(start), ctypes.c_int64(length)
    if libc.fallocate(descriptor, mode, offset, size) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number))
