"""A folder that members of an archive are written into, and never left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from sampan.storage.archive.limits import Limits
from sampan.storage.base import CHECK_BYTES, StorageError

_PIECE_BYTES = 1024**2
_MAX_DEPTH = 64
"""Folders within folders: deeper than any model, and far from what path lengths allow."""

_LINK_LETTERS = 1024
"""No link within one folder is longer; systems allow 1024 (macOS) to 4096 bytes (Linux)."""


class Readable(Protocol):
    """What a member's bytes are read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""


class Tree:
    """Writes plain files and folders; remembers links and makes them at the end.

    No write ever passes a link, because none exists before `finish`.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._members = 0
        self._unchecked = 0
        self._symlinks: dict[tuple[str, ...], str] = {}
        self._hard_links: dict[tuple[str, ...], tuple[str, ...]] = {}

    def make_folder(self, parts: tuple[str, ...]) -> None:
        """Make a folder and those above it."""
        self._count()
        self._reach(parts)

    def write(self, parts: tuple[str, ...], data: Readable, *, executable: bool = False) -> None:
        """Write a file, in place of an earlier member of the same name."""
        self._count()
        path = self._place(parts)
        mode = 0o555 if executable else 0o444
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            while piece := data.read(_PIECE_BYTES):
                self._require_space(len(piece))
                file.write(piece)

    def symlink(self, parts: tuple[str, ...], target: str) -> None:
        """Remember a symbolic link. Whether it stays inside is seen when all is there."""
        self._count()
        if not 0 < len(target) < _LINK_LETTERS or "\0" in target:
            raise _unsafe(parts, target, "nowhere")
        self._place(parts)
        self._symlinks[parts] = target

    def hard_link(self, parts: tuple[str, ...], target: tuple[str, ...]) -> None:
        """Remember a second name of an earlier file."""
        self._count()
        self._place(parts)
        self._hard_links[parts] = target

    def finish(self) -> None:
        """Make the links; raise StorageError for one that leads out or nowhere."""
        self.make_links()
        for parts, text in self._symlinks.items():
            validate_link(self._folder, parts, text)

    def make_links(self) -> None:
        """Make the links. Where symbolic ones lead is whoever's who puts trees together."""
        for parts, target in self._hard_links.items():
            source = self._folder.joinpath(*target)
            if not source.is_file():
                raise _unsafe(parts, "/".join(target), "to no file of the archive")
            os.link(source, self._free(parts, "/".join(target)))
        for parts, text in self._symlinks.items():
            self._free(parts, text).symlink_to(text)

    def _free(self, parts: tuple[str, ...], target: str) -> Path:
        """Return where a link goes; an earlier file there is dropped."""
        path = self._folder.joinpath(*parts)
        if path.is_dir():
            raise _unsafe(parts, target, "in place of a folder")
        path.unlink(missing_ok=True)
        return path

    def _place(self, parts: tuple[str, ...]) -> Path:
        """Return where a member goes, its folders made."""
        if not parts:
            raise _conflict(parts)
        path = self._reach(parts[:-1]) / parts[-1]
        self._symlinks.pop(parts, None)
        self._hard_links.pop(parts, None)
        if path.is_dir():
            raise _conflict(parts)
        return path

    def _reach(self, parts: tuple[str, ...]) -> Path:
        if len(parts) > _MAX_DEPTH:
            raise _conflict(parts)
        folder = self._folder.joinpath(*parts)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise _conflict(parts) from None
        return folder

    def _count(self) -> None:
        self._members += 1
        if self._members > self._limits.max_files:
            raise StorageError(
                "ArchiveTooLarge",
                f"the archive has more than {self._limits.max_files} members; check that it is "
                "what it should be, or raise the limit (max_files)",
            )

    def _require_space(self, size: int) -> None:
        self._unchecked -= size
        if self._unchecked <= 0:
            self._limits.require_space(size)
            self._unchecked = CHECK_BYTES


def validate_link(folder: Path, parts: tuple[str, ...], text: str) -> None:
    """Raise StorageError unless a link is relative, and leads to what exists inside of a folder."""
    path = folder.joinpath(*parts)
    try:
        end = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise _unsafe(parts, text, "nowhere or in a circle") from None
    if text.startswith("/") or not end.is_relative_to(folder.resolve()):
        raise _unsafe(parts, text, "out of the archive")


def _unsafe(parts: tuple[str, ...], target: str, where: str) -> StorageError:
    return StorageError(
        "ArchiveUnsafe",
        f'the archive\'s member "{"/".join(parts)}" is a link to "{target[:200]}", {where}; '
        "make the archive anew with the files themselves",
    )


def _conflict(parts: tuple[str, ...]) -> StorageError:
    return StorageError(
        "ArchiveUnsafe",
        f'the archive\'s member "{"/".join(parts)}" stands where another kind of member does, '
        f"or deeper than {_MAX_DEPTH} folders; make the archive anew",
    )
