"""What names say: whether a file is an archive, and where a member of one may be written. Pure."""

from __future__ import annotations

import re
from enum import StrEnum

from sampan.storage.base import StorageError

_NAME_BYTES = 255
"""The longest file name of every file system in use (NAME_MAX)."""

_DRIVE = re.compile(r"[A-Za-z]:")


class ArchiveKind(StrEnum):
    """How a file is unpacked. `GZIP` is a single compressed file, `NONE` no archive."""

    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    NONE = ""


_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def select_kind(name: str, query: str = "") -> ArchiveKind:
    """Return the kind of archive that a name ends like; a query counts where a name has no ending.

    The endings are those that `mimetypes` takes for tar and zip, by which KServe's storage
    initializer decides.
    """
    text = (name if "." in name else query).lower()
    if text.endswith(".zip"):
        return ArchiveKind.ZIP
    if text.endswith(_TAR):
        return ArchiveKind.TAR
    return ArchiveKind.GZIP if text.endswith(".gz") else ArchiveKind.NONE


def is_file_name(name: str) -> bool:
    """Tell whether a text can be the name of one file in a folder, on any system."""
    try:
        length = len(name.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return False
    return (
        0 < length <= _NAME_BYTES
        and name not in {".", ".."}
        and not any(c in "/\\\0" for c in name)
    )


def select_member_path(member: str) -> tuple[str, ...]:
    """Return the parts of the path at which an archive's member is written, below the folder.

    Empty for the folder itself (`./`). Backslashes divide too: archives made on Windows have them,
    and elsewhere they only hide `..`. Raises StorageError for what would lead out.
    """
    if member.startswith(("/", "\\")) or _DRIVE.match(member):
        raise _unsafe(member, "an absolute path")
    parts = tuple(p for p in re.split(r"[/\\]", member) if p not in {"", "."})
    if ".." in parts:
        raise _unsafe(member, 'a path with ".."')
    if not all(is_file_name(part) for part in parts):
        raise _unsafe(member, "no possible name of a file")
    return parts


def _unsafe(member: str, what: str) -> StorageError:
    shown = member if len(member) <= 200 else member[:200] + "…"
    printable = shown.encode("unicode_escape").decode()
    return StorageError(
        "ArchiveUnsafe",
        f'the archive\'s member "{printable}" is {what}; make the archive anew with relative names',
    )
