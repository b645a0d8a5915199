"""A fetched model put where a server reads it: the folder that a pod shares with its server.

What was downloaded moves there by renames (the cache is in that very folder), what was on the
machine already is linked, as KServe's storage initializer does. The server may be another user:
everything can be read by all.

A pod that is ended in the middle starts again with the same folder. `.sampan/placing` names what
is being put there, so that the next start takes half a model away and begins anew.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sampan.storage.base import Fetched, StorageError
from sampan.storage.patterns import Patterns

logger = logging.getLogger("sampan.storage")

WORK = ".sampan"
_MARK = "placing"


def prepare_folder(folder: Path) -> Path:
    """Make a model folder, without what a crash left of a model; return its cache's folder."""
    work = folder / WORK
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        for name in json.loads((work / _MARK).read_text()):
            _remove(folder / name)
        shutil.rmtree(work)
    return work


def place(fetched: Fetched, folder: Path, patterns: Patterns) -> None:
    """Put a fetched model into a prepared folder.

    Raises StorageError where patterns leave nothing, OSError. What has the same name already stays.
    """
    work = folder / WORK
    own = fetched.path.is_relative_to(work)
    chosen = list(_choose(fetched.path, patterns))
    if not chosen:
        raise StorageError(
            "ModelNotFound",
            f"no file of the model is wanted: allowed {list(patterns.allow)}, ignored "
            f"{list(patterns.ignore)}; correct STORAGE_ALLOW_PATTERNS or STORAGE_IGNORE_PATTERNS",
        )
    there = [name for name in chosen if os.path.lexists(folder / name)]
    for name in there:
        logger.warning('"%s" is there already and stays', folder / name)
    new = [name for name in chosen if name not in there]
    if own:
        work.mkdir(mode=0o700, exist_ok=True)
        (work / _MARK).write_text(json.dumps(new))
    for name in new:
        _put(fetched.path / name, folder / name, move=own)
    shutil.rmtree(work, ignore_errors=True)


def _choose(source: Path, patterns: Patterns) -> Iterator[str]:
    """Yield what is put in place, relative to the source: top entries, or the wanted files."""
    if not patterns:
        yield from sorted(path.name for path in source.iterdir())
        return
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if not path.is_dir() and patterns.wants(name):
            yield name


def _put(source: Path, target: Path, *, move: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not move:
        target.symlink_to(source)
        return
    if source.is_dir() and not source.is_symlink():
        source.chmod(0o755)  # a folder that moves gets another parent, which takes write access
    source.replace(target)
    _open(target)


def _open(target: Path) -> None:
    """Let everybody read what was put there."""
    inside = target.rglob("*") if target.is_dir() and not target.is_symlink() else ()
    for path in (target, *inside):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
