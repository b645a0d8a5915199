"""A model in a container image: as a sidecar, as an image volume, or fetched like any other.

KServe, OCI: the scheme's ending (`oci+native://`) stands before the configuration. A modelcar keeps
the image's files alive in a process whose root the server reads.
"""

from __future__ import annotations

from sampan.machinery.errors import Forbidden
from sampan.machinery.registry import JsonObject
from sampan.plan.model import MODEL_PATH
from sampan.platforms.kubernetes.pods.containers import (
    add_container,
    add_env,
    add_init_container,
    add_mount,
    add_volume,
    edit_containers,
    has_init_container,
    model_containers,
    variable,
    with_spec,
)
from sampan.platforms.kubernetes.pods.settings import InitializerSettings

MODELCAR, MODELCAR_INIT = "modelcar", "modelcar-init"
MODES = ("modelcar", "native", "fetch")
_PARENT, _VOLUME = "/mnt", "kserve-provision-location"
_IMAGE_VOLUME = "mnt-models"
# The sidecar's files are reached through its root in /proc, hence the link and shared processes.
_LINK = f"ln -sf /proc/$$$$/root/models {MODEL_PATH} && sleep infinity"
_CHECK = "ls -A /models | grep -q . || { echo 'the image has no files in /models' >&2; exit 1; }"


def mount_image(pod: JsonObject, uri: str, settings: InitializerSettings) -> JsonObject | None:
    """Return the pod with the model of an image, None where the image is to be fetched.

    Raises Forbidden where no mode is configured or the URI names one that there is not.
    """
    scheme, _, reference = uri.partition("://")
    mode = scheme.partition("+")[2] or settings.oci_mode
    if mode == "fetch":
        return None
    if mode == "native":
        return _mount_volume(pod, reference)
    if mode == "modelcar":
        return _inject_modelcar(pod, reference, settings)
    if not mode:
        raise Forbidden(
            f'OCI is not enabled, and the model is "{uri}"; set storageInitializer.enableModelcar '
            "in inferenceservice-config"
        )
    raise Forbidden(f'unknown OCI mode "{mode}" in "{uri}"; write one of {", ".join(MODES)}')


def _mount_volume(pod: JsonObject, reference: str) -> JsonObject:
    image = {"reference": reference, "pullPolicy": "IfNotPresent"}
    pod = add_volume(pod, {"name": _IMAGE_VOLUME, "image": image})
    mount = {
        "name": _IMAGE_VOLUME,
        "mountPath": MODEL_PATH,
        "subPath": "models",
        "readOnly": True,
    }
    return edit_containers(pod, model_containers(pod), lambda c: add_mount(c, mount))


def _inject_modelcar(pod: JsonObject, reference: str, settings: InitializerSettings) -> JsonObject:
    if has_init_container(pod, MODELCAR_INIT):
        return pod
    user = settings.modelcar_uid
    as_user = {} if user is None else {"securityContext": {"runAsUser": user}}
    amounts = {"cpu": settings.modelcar_cpu, "memory": settings.modelcar_memory}
    same: JsonObject = {
        "image": reference,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": amounts, "limits": dict(amounts)},
    }
    mount = {"name": _VOLUME, "mountPath": _PARENT}

    def served(container: JsonObject) -> JsonObject:
        found = add_mount(container, mount)
        found = add_env(found, [variable("MODEL_INIT_MODE", "async")])
        if user is None:
            return found
        return {**found, "securityContext": {**found.get("securityContext", {}), "runAsUser": user}}

    pod = add_volume(pod, {"name": _VOLUME, "emptyDir": {}})
    pod = edit_containers(pod, model_containers(pod), served)
    sidecar = {
        **same, **as_user, "name": MODELCAR, "args": ["sh", "-c", _LINK], "volumeMounts": [mount],
    }  # fmt: skip
    init = {**same, "name": MODELCAR_INIT, "args": ["sh", "-c", _CHECK]}
    pod = add_init_container(add_container(pod, sidecar), init)
    return with_spec(pod, shareProcessNamespace=True)
