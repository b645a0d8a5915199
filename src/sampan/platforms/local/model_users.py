"""Who uses which model of the cache: read from what daemons keep of their services and replicas.

A cache is shared by all daemons of a user. Each names its state folder in `users/` of the cache
when it starts; a state folder that is gone has no users. What is read is the truth that replicas
live by, so nothing has to be given back, and a crash leaves nobody holding anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sampan.mesh.placements import decode_placements
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.modelmesh import RECORD_FILE
from sampan.platforms.local.private_file import make_private_folder, write_private_file
from sampan.storage.cache import make_key

_DEPTH = 8
"""Mount paths of models are some folders deep (`/mnt/models`); links are not followed."""


def register_users(layout: Layout) -> None:
    """Have everybody who prunes the cache ask this daemon's state folder."""
    folder = layout.models / "users"
    make_private_folder(folder)
    write_private_file(folder / make_key(str(layout.state)), str(layout.state).encode())


def gather_users(models: Path, own: Path) -> dict[str, list[str]]:
    """Return who uses the entries of a cache: names of services by the entries' keys.

    `own` is a state folder that counts though the cache was emptied, and its list with it.
    """
    entries = (models / "entries").resolve()
    users: dict[str, set[str]] = {}
    for owner, path in _gather_all(models, own):
        with suppress(OSError, RuntimeError, ValueError):
            inside = path.resolve().relative_to(entries)
            if inside.parts:
                users.setdefault(inside.parts[0], set()).add(owner)
    return {key: sorted(owners) for key, owners in users.items()}


def _gather_all(models: Path, own: Path) -> Iterator[tuple[str, Path]]:
    for state in {own, *_gather_states(models)}:
        layout = Layout(state, models.parent)
        yield from _gather_prepared(layout)
        yield from _gather_replicas(layout)
        yield from _gather_mesh(layout)


def _gather_states(models: Path) -> Iterator[Path]:
    """The state folders that daemons have named; what names one that is gone is removed."""
    for file in (models / "users").glob("*"):
        with suppress(OSError):
            state = Path(file.read_text())
            if state.is_dir():
                yield state
            else:
                file.unlink()


def _gather_prepared(layout: Layout) -> Iterator[tuple[str, Path]]:
    """Services, also those that sleep: their next replica needs the model."""
    for path in (layout.state / "prepared").glob("*/*/*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            record = json.loads(path.read_text())
            for folder in record["models"].values():
                yield f"{record['namespace']}/{record['service']}", Path(folder)


def _gather_replicas(layout: Layout) -> Iterator[tuple[str, Path]]:
    """Replicas, of which some may be of a template that is not the newest any more."""
    for pod in layout.pods.glob("*/*"):
        for link in _links(pod / "root", _DEPTH):
            with suppress(OSError):
                yield f"{pod.parent.name}/{pod.name}", link.readlink()


def _gather_mesh(layout: Layout) -> Iterator[tuple[str, Path]]:
    for path in layout.meshes.glob(f"*/*/{RECORD_FILE}"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            for placement in decode_placements(path.read_bytes()):
                for entry in placement.entries():
                    yield f"{path.parent.parent.name}/{placement.service}", Path(entry.path)


def _links(folder: Path, depth: int) -> Iterator[Path]:
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_symlink():
                yield path
            elif depth and path.is_dir():
                yield from _links(path, depth - 1)
