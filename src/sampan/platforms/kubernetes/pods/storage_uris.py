"""Several models of one component, each at a path of its own (`storageUris`).

KServe, multiple storage URIs: one init container fetches all that are fetched, into a volume at the
folder that their paths have in common; each claim is a volume of its own. This is part of the
workload's template, not of the pod webhook's work.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from sampan.machinery.errors import Forbidden
from sampan.machinery.patch import strategic_merge
from sampan.machinery.registry import JsonObject
from sampan.plan.types import ModelSource
from sampan.platforms.kubernetes.pods.account_credentials import make_account_credentials
from sampan.platforms.kubernetes.pods.ca_bundle import add_ca_bundle
from sampan.platforms.kubernetes.pods.containers import (
    INITIALIZER,
    add_env,
    add_init_container,
    add_mount,
    add_volume,
    annotations_of,
    edit_containers,
    make_volume_name,
    model_containers,
)
from sampan.platforms.kubernetes.pods.model_images import (
    FETCH_MODE,
    is_image,
    mount_images,
    select_mode,
)
from sampan.platforms.kubernetes.pods.storage_container import select_storage_container
from sampan.platforms.kubernetes.pods.storage_initializer import READ_ONLY, SPEED
from sampan.platforms.kubernetes.pods.surroundings import Surroundings


def mount_sources(
    pod: JsonObject, sources: Sequence[ModelSource], around: Surroundings
) -> JsonObject:
    """Return the pod (a template) with every source at its path; raise Forbidden."""
    read_only = annotations_of(pod).get(READ_ONLY) != "false"
    claims = [s for s in sources if s.uri.startswith("pvc://")]
    images = [s for s in sources if is_image(s.uri)]
    fetched = [s for s in sources if s not in claims and s not in images]
    _check_one_initializer(images, fetched, around)
    for source in claims:
        pod = _mount_claim(pod, source, read_only=read_only)
    if images:
        pod = mount_images(pod, images, around.settings.initializer)
    return _fetch(pod, fetched, around, read_only=read_only) if fetched else pod


def _check_one_initializer(
    images: Sequence[ModelSource], fetched: Sequence[ModelSource], around: Surroundings
) -> None:
    """What is fetched of an image is fetched with a registry's credentials, and nothing else."""
    settings = around.settings.initializer
    image = next((s for s in images if select_mode(s.uri, settings) == FETCH_MODE), None)
    if image is not None and fetched:
        raise Forbidden(
            f'"{image.uri}" and "{fetched[0].uri}" cannot be fetched for one pod; write the image '
            'as "oci+native://", or keep both models in one store'
        )


def _mount_claim(pod: JsonObject, source: ModelSource, *, read_only: bool) -> JsonObject:
    name, _, below = source.uri.removeprefix("pvc://").partition("/")
    volume = make_volume_name(source.path)
    claim = {"claimName": name}
    pod = add_volume(pod, {"name": volume, "persistentVolumeClaim": claim})
    mount = {
        "name": volume,
        "mountPath": source.path,
        **({"subPath": below} if below else {}),
        **({"readOnly": True} if read_only else {}),
    }
    return edit_containers(pod, model_containers(pod), lambda c: add_mount(c, mount))


def _fetch(
    pod: JsonObject, sources: Sequence[ModelSource], around: Surroundings, *, read_only: bool
) -> JsonObject:
    folder = posixpath.commonpath([s.path for s in sources])
    volume = make_volume_name(folder)
    credentials = make_account_credentials(pod, around)
    settings = around.settings.initializer
    container: JsonObject = {
        "name": INITIALIZER,
        "image": settings.image,
        "args": [word for s in sources for word in (s.uri, s.path)],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": settings.resources,
        "volumeMounts": [{"name": volume, "mountPath": folder}, *credentials.mounts],
        **({"env": list(credentials.env)} if credentials.env else {}),
    }
    container = add_env(_merged(container, sources, around), SPEED)
    for added in ({"name": volume, "emptyDir": {}}, *credentials.volumes):
        pod = add_volume(pod, added)
    mount = {"name": volume, "mountPath": folder, **({"readOnly": True} if read_only else {})}
    pod = edit_containers(pod, model_containers(pod), lambda c: add_mount(c, mount))
    pod, container = add_ca_bundle(pod, container, settings)
    return add_init_container(pod, container)


def _merged(
    container: JsonObject, sources: Sequence[ModelSource], around: Surroundings
) -> JsonObject:
    """One container fetches all, so the first source decides, and it must take several."""
    chosen = select_storage_container(sources[0].uri, around.storage_containers)
    if chosen is None:
        return container
    spec: Mapping[str, Any] = chosen["spec"]
    if len(sources) > 1 and not spec.get("supportsMultiModelDownload"):
        raise Forbidden(
            f'ClusterStorageContainer "{chosen["metadata"]["name"]}" fetches "{sources[0].uri}" '
            "and takes one URI only; set its supportsMultiModelDownload, or give one URI"
        )
    merged: JsonObject = strategic_merge(container, spec["container"])
    return merged
