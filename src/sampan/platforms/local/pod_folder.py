"""A replica's folder: its volumes as files, and the container's mount paths as links to them.

pods/{namespace}/{replica}/volumes/{volume}/...   emptyDir, ConfigMap, Secret: files, 0600
pods/{namespace}/{replica}/root/mnt/models        -> the model in the cache
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sampan.platforms.local.collocation import make_containers_env
from sampan.platforms.local.container_env import field_value, resolve
from sampan.platforms.local.container_paths import MESH_TARGET, Mount, Volume, VolumeFile
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.private_file import make_private_folder, write_private_file
from sampan.platforms.local.process_spec import Process
from sampan.platforms.local.references import Values


class ConfigError(Exception):
    """A replica that cannot be made (kubelet's `CreateContainerConfigError`); kubelet's words."""


def make_env(process: Process, values: Values) -> Mapping[str, str]:
    """Return the variables of a process. Raises ConfigError. Pure."""
    if process.containers:
        return make_containers_env(process, [make_env(one, values) for one in process.containers])
    env, missing = resolve(process.entries, values)
    if missing:
        raise ConfigError(missing)
    return env


def make_folder(layout: Layout, process: Process, models: Sequence[str], values: Values) -> None:
    """Write the folder of a replica, replacing one that is there. Raises ConfigError."""
    service, replica = process.spec.service, process.spec.replica
    folder = layout.pod(service, replica)
    shutil.rmtree(folder, ignore_errors=True)
    make_private_folder(layout.inside(service, replica, "/"))
    targets = {
        v.name: _place_volume(layout, folder, v, process, values) for v in process.files.volumes
    }
    for mount in sorted(process.files.mounts, key=lambda m: m.path):
        target = _mount_target(mount, models, targets)
        place = layout.inside(service, replica, mount.path)
        inner = [m for m in process.files.mounts if m.path.startswith(mount.path.rstrip("/") + "/")]
        _link(place, target, has_mounts_inside=bool(inner))
    working = Path(process.spec.cwd)
    if not working.is_dir():
        raise ConfigError(
            f'workingDir "{working}" is not a folder of this machine; create it, or leave it out'
        )


def collect_folders(layout: Layout, kept: Collection[str]) -> None:
    """Remove the folders of replicas that are no more; what their links lead to stays."""
    for folder in layout.pods.glob("*/*"):
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def _place_volume(
    layout: Layout, folder: Path, volume: Volume, process: Process, values: Values
) -> Path:
    if volume.target.startswith("pvc:"):
        claim = layout.volumes / Path(volume.target.removeprefix("pvc:")).name
        make_private_folder(claim)
        return claim
    if volume.target == MESH_TARGET:
        shared = layout.mesh(process.spec.service)
        make_private_folder(shared)
        return shared
    if volume.target:
        return Path(volume.target)
    own = folder / "volumes" / volume.name
    make_private_folder(own)
    for file in volume.files:
        for name, content in _contents(file, process, values):
            path = own / name
            write_private_file(path, content)
    return own


def _contents(file: VolumeFile, process: Process, values: Values) -> list[tuple[str, bytes]]:
    if not file.kind:
        text = file.text
        if text.startswith("$field:"):
            text = field_value(text.removeprefix("$field:"), process.pod) or ""
        return [(file.path, text.encode())]
    data = values.get((file.kind, file.name))
    if data is None:
        if file.optional:
            return []
        raise ConfigError(f'{file.kind.lower()} "{file.name}" not found')
    if not file.key:
        return [(Path(name).name, content) for name, content in data.items()]
    if file.key not in data:
        if file.optional:
            return []
        raise ConfigError(
            f'{file.kind.lower()} "{file.name}" references non-existent key: {file.key}'
        )
    return [(file.path, data[file.key])]


def _mount_target(mount: Mount, models: Sequence[str], volumes: dict[str, Path]) -> Path:
    if mount.model >= 0:
        return Path(models[mount.model])
    if mount.volume not in volumes:
        raise ConfigError(f'volume "{mount.volume}" of mount "{mount.path}" is not in the pod')
    target = volumes[mount.volume]
    if mount.sub_path in {"", "."}:
        return target
    inside = target / mount.sub_path
    if not inside.exists():
        make_private_folder(inside)  # as kubelet does
    return inside


def _link(place: Path, target: Path, *, has_mounts_inside: bool) -> None:
    make_private_folder(place.parent)
    if place.is_dir() and not place.is_symlink():  # made as the parent of another mount
        has_mounts_inside = True
    if not has_mounts_inside:
        place.symlink_to(target)
        return
    # A mount inside another: its parent is a real folder of links, so that nothing is written into
    # what the parent links to (the model cache).
    make_private_folder(place)
    for child in target.iterdir() if target.is_dir() else ():
        if not (place / child.name).exists():
            (place / child.name).symlink_to(child)
