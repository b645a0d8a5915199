"""Which objects of a listing are a model's files, and where each is put. Pure.

KServe, storage initializer: names that end with `/` stand for folders and are left out. Names are
written by whoever may write to the bucket, so none leads out of the model's folder, and no two may
want the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sampan.storage.archive.names import is_file_name
from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.patterns import Patterns
from sampan.storage.space import show_bytes

_MAX_DEPTH = 64
"""Folders within folders, as in archives."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing tells of it. `version` changes with its bytes; `size` in bytes.

    `packed`: it is stored compressed, and is to be read unpacked.
    """

    name: str
    size: int
    version: str
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object and the relative path, with `/`, of the file that it becomes."""

    object: StoredObject
    path: str


def select_files(found: Iterable[StoredObject], prefix: str, shown: str) -> list[Wanted]:
    """Return the files that objects below a prefix become; raise StorageError."""
    wanted = [
        Wanted(each, make_path(each.name.removeprefix(prefix), each.name, shown)) for each in found
    ]
    _require_places(wanted, shown)
    return wanted


def is_wanted(found: StoredObject, prefix: str, patterns: Patterns, *, empty_files: bool) -> bool:
    """Tell whether an object of a listing is a file of the model.

    `prefix` ends with `/`, or is empty.
    """
    path = found.name.removeprefix(prefix)
    if not found.name.startswith(prefix) or not path or path.endswith("/"):
        return False
    return (found.size > 0 or empty_files) and patterns.wants(path)


def select_file(found: StoredObject, shown: str) -> Wanted:
    """Return the one file that a URI names: patterns choose among several, not here (KServe)."""
    return Wanted(found, make_path(found.name.rpartition("/")[2], found.name, shown))


def make_path(path: str, name: str, shown: str) -> str:
    """Return where an object is put; raise StorageError for a name that is no path inside."""
    cut = path.split("/", _MAX_DEPTH - 1)  # a rest with "/" in it is no file's name
    parts = [part for part in cut if part not in {"", "."}]
    if not parts or not all(is_file_name(part) for part in parts):
        raise StorageError(
            "SourceRefused",
            f'the object "{_printable(name)}" of "{shown}" has a name that cannot be a file below '
            'the model\'s folder; rename it, without ".." and backslashes, or delete it',
        )
    return "/".join(parts)


def require_limits(wanted: Sequence[Wanted], options: FetchOptions, shown: str) -> int:
    """Return the bytes of all files; raise StorageError for none, too many or too large."""
    if not wanted:
        left_out = " that is wanted by the patterns" if options.patterns else ""
        raise StorageError(
            "ModelNotFound",
            f'no model found in "{shown}": it holds no file{left_out}; check bucket and path',
        )
    if len(wanted) > options.max_files:
        raise StorageError(
            "DownloadTooLarge",
            f'"{shown}" holds more than {options.max_files} files; name the folder of one model, '
            "or raise the limit (max_files)",
        )
    total = sum(each.object.size for each in wanted)
    if total > options.max_bytes:
        raise StorageError(
            "DownloadTooLarge",
            f'"{shown}" holds {show_bytes(total)}, and {show_bytes(options.max_bytes)} are '
            "allowed; name the folder of one model, or raise the limit (max_bytes)",
        )
    return total


def make_version(wanted: Iterable[Wanted]) -> str:
    """Return a text that changes when any file, size or object's version does."""
    lines = sorted(f"{w.path}\0{w.object.size}\0{w.object.version}" for w in wanted)
    return "\n".join(lines)


def _require_places(wanted: Sequence[Wanted], shown: str) -> None:
    """Raise StorageError where two objects want one place, or one is the other's folder."""
    places: dict[str, str] = {}
    for each in wanted:
        other = places.setdefault(each.path, each.object.name)
        if other != each.object.name:
            raise _collision(other, each.object.name, shown)
    for each in wanted:
        parts = each.path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder in places:
                raise _collision(places[folder], each.object.name, shown)


def _collision(one: str, other: str, shown: str) -> StorageError:
    return StorageError(
        "SourceRefused",
        f'the objects "{_printable(one)}" and "{_printable(other)}" of "{shown}" want the same '
        "place as files; rename or delete one of them",
    )


def _printable(name: str) -> str:
    short = name if len(name) <= 200 else name[:200] + "…"
    return short.encode("unicode_escape").decode()
