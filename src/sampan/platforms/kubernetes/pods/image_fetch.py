"""A model in a container image that is fetched into a volume, like a model of any other store.

KServe, OCI mode `fetch`: the storage initializer is given `oci://` URIs and the paths of their
models. The pod's first pull secret opens the registry; it is mounted where the initializer, which
is not root, may read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sampan.machinery.registry import JsonObject
from sampan.plan.types import ModelSource
from sampan.platforms.kubernetes.pods.ca_bundle import add_ca_bundle
from sampan.platforms.kubernetes.pods.containers import (
    INITIALIZER,
    add_env,
    add_init_container,
    add_mount,
    add_volume,
    edit_containers,
    has_init_container,
    make_volume_name,
    model_containers,
    variable,
)
from sampan.platforms.kubernetes.pods.settings import InitializerSettings

AUTH_VOLUME, AUTH_PATH = "kserve-oci-fetch-docker-config", "/mnt/oci-fetch-auth"
_DOCKER_CONFIG = variable("KSERVE_OCI_DOCKER_CONFIG", f"{AUTH_PATH}/config.json")
_INSECURE = variable("KSERVE_OCI_INSECURE_REGISTRY", "true")


def fetch_images(
    pod: JsonObject, sources: Sequence[ModelSource], settings: InitializerSettings
) -> JsonObject:
    """Return the pod with an init container that fetches the models of images to their paths."""
    if has_init_container(pod, INITIALIZER):
        return pod
    container: JsonObject = {
        "name": INITIALIZER,
        "image": settings.image,
        "args": [word for s in sources for word in (s.uri, s.path)],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": settings.resources,
    }
    if settings.insecure_registry:
        container = add_env(container, [_INSECURE])
    pod, container = _with_pull_secret(pod, container)
    pod, container = add_ca_bundle(pod, container, settings)
    for source in sources:
        mount = {"name": make_volume_name(source.path), "mountPath": source.path}
        pod = add_volume(pod, {"name": mount["name"], "emptyDir": {}})
        pod = edit_containers(pod, model_containers(pod), partial(add_mount, mount=mount))
        container = add_mount(container, mount)
    return add_init_container(pod, container)


def _with_pull_secret(pod: JsonObject, container: JsonObject) -> tuple[JsonObject, JsonObject]:
    named = [s["name"] for s in pod["spec"].get("imagePullSecrets") or () if s.get("name")]
    if not named:
        return pod, container
    items = [{"key": ".dockerconfigjson", "path": "config.json"}]
    pod = add_volume(pod, {"name": AUTH_VOLUME, "secret": {"secretName": named[0], "items": items}})
    container = add_env(container, [_DOCKER_CONFIG])
    mount = {"name": AUTH_VOLUME, "mountPath": AUTH_PATH, "readOnly": True}
    return pod, add_mount(container, mount)
