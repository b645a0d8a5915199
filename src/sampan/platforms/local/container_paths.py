"""What the container's file system is on this machine. Pure.

A process sees the machine's own paths, so each mount path of the container gets a path in the
replica's folder (`.../root/mnt/models`), and args and variables that name it are rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sampan.plan.modelmesh_host import DRIVER
from sampan.plan.types import ModelSource, ServiceKey
from sampan.platforms.local.layout import Layout

_VOLUME_KINDS = ("emptyDir", "configMap", "secret", "downwardAPI", "projected", "hostPath",
                 "persistentVolumeClaim", "csi")  # fmt: skip


MESH_TARGET = "modelmesh:"
"""The target of the volume in which multi-model processes find their register."""


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """A file of a volume, relative to the volume: literal `text`, or a key of a source.

    With `key` empty, each key of the ConfigMap or Secret is a file.
    """

    path: str = ""
    text: str = ""
    kind: str = ""
    name: str = ""
    key: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the pod. `target` is a path that is there already ("": a folder of its own)."""

    name: str
    target: str = ""
    files: tuple[VolumeFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the container and what stands there: a part of a volume, or a model's folder."""

    path: str
    volume: str = ""
    sub_path: str = ""
    model: int = -1


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The mounts and volumes of one replica."""

    volumes: tuple[Volume, ...]
    mounts: tuple[Mount, ...]


def select_file_system(
    pod: Mapping[str, Any], container: Mapping[str, Any], models: Sequence[ModelSource]
) -> FileSystem:
    """Return the volumes that the container mounts, and the models' folders."""
    mounts = [Mount(path=_clean(m.path), model=i) for i, m in enumerate(models)]
    taken = {m.path for m in mounts}
    for item in container.get("volumeMounts") or ():
        path = _clean(str(item.get("mountPath", "")))
        sub_path = str(PurePosixPath(item.get("subPath") or "."))
        if path not in taken and ".." not in PurePosixPath(sub_path).parts:
            mounts.append(Mount(path, str(item.get("name", "")), sub_path.lstrip("/")))
    used = {m.volume for m in mounts}
    volumes = [v for v in pod.get("volumes") or () if v.get("name") in used]
    return FileSystem(tuple(_volume(v) for v in volumes), tuple(mounts))


def rewrite_paths(
    text: str, files: FileSystem, layout: Layout, owner: tuple[ServiceKey, str]
) -> str:
    """Return an argument or value with the container's mount paths replaced by this machine's.

    Only whole paths count: `/mnt/models` in `--dir=/mnt/models/x`, not in `/mnt/models2`. `owner`
    is the service and the replica.
    """
    paths = sorted({m.path for m in files.mounts}, key=len, reverse=True)
    if not paths:
        return text
    pattern = "|".join(re.escape(path) for path in paths)

    def replace(match: re.Match[str]) -> str:
        return str(layout.inside(*owner, match[0]))

    return re.sub(rf"(?<![\w.~/-])(?:{pattern})(?=$|[^\w.-])", replace, text)


def _clean(path: str) -> str:
    # Resolved without asking the disk, so that no mount path climbs out of the replica's folder.
    parts: list[str] = []
    for part in PurePosixPath("/" + path).parts[1:]:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/" + "/".join(parts)


def _volume(volume: Mapping[str, Any]) -> Volume:
    name = str(volume["name"])
    kind = next((k for k in _VOLUME_KINDS if volume.get(k) is not None), "")
    source: Mapping[str, Any] = volume.get(kind) or {}
    if kind == "hostPath":
        return Volume(name, target=str(source.get("path", "")))
    if kind == "persistentVolumeClaim":
        return Volume(name, target=f"pvc:{source.get('claimName', '')}")
    if kind == "csi" and source.get("driver") == DRIVER:
        return Volume(name, target=MESH_TARGET)
    if kind == "projected":
        sources = source.get("sources") or ()
        return Volume(name, files=tuple(f for s in sources for f in _source_files(s)))
    return Volume(name, files=_source_files({kind: source}))


def _source_files(source: Mapping[str, Any]) -> tuple[VolumeFile, ...]:
    if source.get("downwardAPI") is not None:
        return tuple(
            VolumeFile(_clean(str(i.get("path", "")))[1:], text=f"$field:{_field(i)}")
            for i in source["downwardAPI"].get("items") or ()
        )
    for field, kind, name in (
        ("configMap", "ConfigMap", "name"),
        ("secret", "Secret", "secretName"),
    ):
        found = source.get(field)
        if found is not None:
            owner = str(found.get(name) or found.get("name") or "")
            optional = bool(found.get("optional"))
            items = found.get("items") or ()
            if not items:
                return (VolumeFile("", kind=kind, name=owner, optional=optional),)
            return tuple(
                VolumeFile(_clean(str(i.get("path", "")))[1:], kind=kind, name=owner,
                           key=str(i.get("key", "")), optional=optional)
                for i in items
            )  # fmt: skip
    return ()


def _field(item: Mapping[str, Any]) -> str:
    return str((item.get("fieldRef") or {}).get("fieldPath", ""))
