"""Edits of a pod as values: each returns a new pod or container and leaves the old one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.service import MAIN_CONTAINER, TRANSFORMER_CONTAINER

WORKER_CONTAINER = "worker-container"
INITIALIZER = "storage-initializer"
"""The init container that fetches models."""


def find_container(pod: Mapping[str, Any], *names: str) -> JsonObject | None:
    """Return the container with the first of these names that is there."""
    for name in names:
        for container in pod["spec"].get("containers") or ():
            if container.get("name") == name:
                return dict(container)
    return None


def model_containers(pod: Mapping[str, Any]) -> list[str]:
    """Return the names of the containers that see the model: the server, and a transformer."""
    server = find_container(pod, MAIN_CONTAINER, WORKER_CONTAINER)
    transformer = find_container(pod, TRANSFORMER_CONTAINER)
    return [str(c["name"]) for c in (server, transformer) if c is not None]


def edit_containers(
    pod: Mapping[str, Any], names: Iterable[str], edit: Callable[[JsonObject], JsonObject]
) -> JsonObject:
    """Return the pod with the named containers edited."""
    chosen = set(names)
    containers = [
        edit(c) if c.get("name") in chosen else c for c in pod["spec"].get("containers") or ()
    ]
    return with_spec(pod, containers=containers)


def add_container(pod: Mapping[str, Any], container: JsonObject) -> JsonObject:
    """Return the pod with one more container, the last."""
    return with_spec(pod, containers=[*(pod["spec"].get("containers") or ()), container])


def add_init_container(pod: Mapping[str, Any], container: JsonObject) -> JsonObject:
    """Return the pod with one more init container, the last."""
    return with_spec(pod, initContainers=[*(pod["spec"].get("initContainers") or ()), container])


def has_init_container(pod: Mapping[str, Any], name: str) -> bool:
    """Return whether an init container of that name is there."""
    return any(c.get("name") == name for c in pod["spec"].get("initContainers") or ())


def add_volume(pod: Mapping[str, Any], volume: JsonObject) -> JsonObject:
    """Return the pod with a volume, as it is where one of that name is there."""
    volumes = pod["spec"].get("volumes") or []
    if any(v.get("name") == volume["name"] for v in volumes):
        return dict(pod)
    return with_spec(pod, volumes=[*volumes, volume])


def add_mount(container: Mapping[str, Any], mount: JsonObject) -> JsonObject:
    """Return the container with a mount, as it is where something is mounted there."""
    mounts = container.get("volumeMounts") or []
    if any(m.get("mountPath") == mount["mountPath"] for m in mounts):
        return dict(container)
    return {**container, "volumeMounts": [*mounts, mount]}


def add_env(container: Mapping[str, Any], entries: Iterable[JsonObject]) -> JsonObject:
    """Return the container with those variables that it does not have."""
    env = list(container.get("env") or ())
    for entry in entries:
        if not any(e.get("name") == entry["name"] for e in env):
            env.append(dict(entry))
    return {**container, "env": env} if env else dict(container)


def merge_env(env: Iterable[JsonObject], entries: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the variables with others merged over them: of one name the later counts."""
    return list({e["name"]: dict(e) for e in (*env, *entries)}.values())


def with_spec(pod: Mapping[str, Any], **fields: object) -> JsonObject:
    """Return the pod with fields of its spec replaced."""
    return {**pod, "spec": {**pod["spec"], **fields}}


def make_volume_name(path: str) -> str:
    """Return the name of the volume that is mounted at a path (`/mnt/models` -> `mnt-models`)."""
    return path.strip("/").replace("/", "-").lower()


def with_annotations(pod: Mapping[str, Any], annotations: Mapping[str, str]) -> JsonObject:
    """Return the pod with annotations set."""
    metadata = pod["metadata"]
    found = {**(metadata.get("annotations") or {}), **annotations}
    return {**pod, "metadata": {**metadata, "annotations": found}}


def annotations_of(pod: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the pod's annotations."""
    return pod["metadata"].get("annotations") or {}


def labels_of(pod: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the pod's labels."""
    return pod["metadata"].get("labels") or {}


def variable(name: str, value: str) -> JsonObject:
    """Return a variable with a value."""
    return {"name": name, "value": value}


def from_secret(name: str, secret: str, key: str) -> JsonObject:
    """Return a variable whose value is a key of a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
