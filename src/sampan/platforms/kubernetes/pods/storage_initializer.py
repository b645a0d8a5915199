"""The init container that fetches a model into a volume which the server reads.

KServe, storage handling: it is told the URI and the folder, has the credentials, and shares an
empty volume with the containers that see the model, which mount it read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.errors import Forbidden
from sampan.machinery.patch import strategic_merge
from sampan.machinery.registry import JsonObject
from sampan.plan.model import MODEL_PATH
from sampan.plan.pod_metadata import (
    AGENT,
    CONFIDENTIAL,
    CONFIDENTIAL_RESOURCE,
    SOURCE_URI,
    STORAGE_CONTAINER,
    STORAGE_SPEC,
)
from sampan.plan.types import ModelSource
from sampan.platforms.kubernetes.pods.account_credentials import make_account_credentials
from sampan.platforms.kubernetes.pods.ca_bundle import add_ca_bundle
from sampan.platforms.kubernetes.pods.claims import LOCAL_MODEL_URI, mount_claim, to_local_claim
from sampan.platforms.kubernetes.pods.containers import (
    INITIALIZER,
    add_env,
    add_init_container,
    add_mount,
    add_volume,
    annotations_of,
    edit_containers,
    has_init_container,
    model_containers,
    variable,
)
from sampan.platforms.kubernetes.pods.model_images import is_image, mount_images
from sampan.platforms.kubernetes.pods.secret_credentials import Credentials
from sampan.platforms.kubernetes.pods.storage_container import select_storage_container
from sampan.platforms.kubernetes.pods.storage_spec import read_storage_entry
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

VOLUME = "kserve-provision-location"
READ_ONLY = "storage.kserve.io/readonly"
URI_ENV = "STORAGE_URI"
# How Hugging Face's client downloads fast; a user's own values stay.
SPEED = (
    variable("HF_HUB_ENABLE_HF_TRANSFER", "1"),
    variable("HF_XET_HIGH_PERFORMANCE", "1"),
    variable("HF_XET_NUM_CONCURRENT_RANGE_GETS", "8"),
)


def inject_storage(pod: JsonObject, around: Surroundings) -> JsonObject:
    """Return the pod with its model: from a claim, an image, or fetched by an init container."""
    annotations = annotations_of(pod)
    uri = annotations.get(SOURCE_URI) or ""
    if not uri or AGENT in annotations or has_init_container(pod, INITIALIZER):
        return pod
    if not model_containers(pod):
        raise Forbidden(
            'a model is to be mounted, and the pod has no container named "kserve-container" or '
            '"worker-container"; name the one that serves'
        )
    if LOCAL_MODEL_URI in annotations:
        uri = to_local_claim(uri, annotations)
    read_only = annotations.get(READ_ONLY) != "false"
    if uri.startswith("pvc://"):
        return mount_claim(pod, uri, read_only=read_only)
    if is_image(uri):
        return mount_images(pod, [ModelSource(uri)], around.settings.initializer)
    return _inject_initializer(pod, uri, around, read_only=read_only)


def _inject_initializer(
    pod: JsonObject, uri: str, around: Surroundings, *, read_only: bool
) -> JsonObject:
    annotations = annotations_of(pod)
    if STORAGE_SPEC in annotations:
        entry = read_storage_entry(uri, pod, around)
        uri, credentials = entry.uri, Credentials(entry.env)
    else:
        credentials = make_account_credentials(pod, around)
    # The placeholder is what storage containers are asked for: the entry is read for its keys.
    asked = annotations.get(SOURCE_URI, uri) if STORAGE_SPEC in annotations else uri
    container = _make_container(uri, asked, credentials, annotations, around)
    pod = add_volume(pod, {"name": VOLUME, "emptyDir": {}})
    for volume in credentials.volumes:
        pod = add_volume(pod, volume)
    mount = {"name": VOLUME, "mountPath": MODEL_PATH, **({"readOnly": True} if read_only else {})}
    pod = edit_containers(pod, model_containers(pod), lambda c: _told(add_mount(c, mount)))
    pod, container = add_ca_bundle(pod, container, around.settings.initializer)
    return add_init_container(pod, container)


def _make_container(
    uri: str,
    asked: str,
    credentials: Credentials,
    annotations: Mapping[str, str],
    around: Surroundings,
) -> JsonObject:
    settings = around.settings.initializer
    container: JsonObject = {
        "name": INITIALIZER,
        "image": settings.image,
        "args": [uri, MODEL_PATH],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": settings.resources,
        "volumeMounts": [{"name": VOLUME, "mountPath": MODEL_PATH}, *credentials.mounts],
        **({"env": list(credentials.env)} if credentials.env else {}),
    }
    named = annotations.get(STORAGE_CONTAINER, "")
    chosen = select_storage_container(asked, around.storage_containers, named)
    if chosen is not None:
        merged: JsonObject = strategic_merge(container, chosen["spec"]["container"])
        container = merged
    return add_env(container, [*_confidential(annotations), *SPEED])


def _confidential(annotations: Mapping[str, str]) -> list[JsonObject]:
    """What tells the initializer that the model is encrypted, and where its key is."""
    if annotations.get(CONFIDENTIAL) != "true":
        return []
    key = annotations.get(CONFIDENTIAL_RESOURCE, "")
    named = [variable("CONFIDENTIAL_RESOURCE_ID", key)] if key else []
    return [variable("CONFIDENTIAL_ENABLED", "true"), *named]


def _told(container: Mapping[str, Any]) -> JsonObject:
    """A server that is told a URI is told the folder instead, where its model is by then."""
    env = [
        {**e, "value": MODEL_PATH} if e.get("name") == URI_ENV and e.get("value") else e
        for e in container.get("env") or ()
    ]
    return {**container, "env": env} if env else dict(container)
