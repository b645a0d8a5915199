"""The values that a fetch takes and gives (`sampan.storage.fetch.fetch(uri, options, progress)`).

A result is a *folder* laid out as a KServe storage initializer leaves `/mnt/models`: a single file
is a folder that holds it, a folder its contents, an archive its unpacked contents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from sampan.storage.patterns import Patterns


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fetch is. `total` is 0 where the source does not tell. Sizes in bytes."""

    phase: str
    done: int = 0
    total: int = 0


ReportProgress: TypeAlias = Callable[[Progress], None]


CHECK_BYTES = 64 * 1024**2
"""Writing goes on for this long between two looks at the disk."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """Where to keep things and what is allowed.

    `cache` is the root of the content-addressed cache, `volumes` the folder whose sub-folders stand
    for PersistentVolumeClaims. `allowed_private_hosts` are host names or addresses that may resolve
    to loopback or private addresses (`*` allows all; link-local is refused even then unless named).
    Timeouts are seconds; `stall_seconds` without a byte is an error. `max_bytes` bounds a download
    and its unpacked size, `max_files` the members of an archive, `max_ratio` how many times its own
    size an archive may unpack to. `reserve_bytes` of the disk must stay free after a fetch; between
    two looks at the disk, to which others write too, `check_bytes` of a download are written.
    `headers` go to the URI's own host, `host_headers` (by host name) to that host wherever it comes
    up; neither follows a redirect to another origin.

    `environment` are the variables that credentials and settings of a store come from, by the names
    that KServe gives them in a pod; `files` the contents of files that they name, where these are
    no files of this machine. `ambient`: a cloud's machine may be asked for credentials (instance
    roles, metadata servers). `patterns` say which files of a folder are wanted.

    `cache_bytes` is what a daemon prunes the cache to, `cache_days` after how long without use a
    model goes; 0: never.
    """

    cache: Path
    volumes: Path
    allowed_private_hosts: tuple[str, ...] = ()
    connect_seconds: float = 10.0
    stall_seconds: float = 30.0
    attempts: int = 5
    max_bytes: int = 200 * 1024**3
    max_files: int = 100_000
    max_ratio: float = 200.0
    headers: Mapping[str, str] = field(default_factory=dict)
    host_headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reserve_bytes: int = 512 * 1024**2
    check_bytes: int = CHECK_BYTES
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    ambient: bool = False
    patterns: Patterns = Patterns()
    cache_bytes: int = 0
    cache_days: float = 0.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model folder ready to be read. `cached`: nothing had to be transferred.

    `note` tells what a person should know though it is no error (a copy of last week is used
    because the source cannot be reached); empty otherwise.
    `chosen`: patterns were applied where the files came from.
    """

    path: Path
    size: int
    seconds: float
    cached: bool
    note: str = ""
    chosen: bool = False


class StorageError(Exception):
    """Why an artefact could not be had.

    `reason` is CamelCase and becomes the condition's reason; `message` names the value and the mend
    and never a credential; `retryable` tells whether trying again later can help.
    """

    def __init__(self, reason: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable
