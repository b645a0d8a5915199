"""Models in container images: as sidecars, as image volumes, or fetched like any other.

KServe, OCI: the scheme's ending (`oci+native://`) stands before the configuration. A modelcar keeps
the image's files alive in a process whose root the server reads; the first one bears the plain
name, those after it a number.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace

from sampan.machinery.errors import Forbidden
from sampan.machinery.registry import JsonObject
from sampan.plan.model import MODEL_PATH
from sampan.plan.types import ModelSource
from sampan.platforms.kubernetes.pods.containers import (
    add_container,
    add_env,
    add_init_container,
    add_mount,
    add_volume,
    edit_containers,
    has_init_container,
    make_volume_name,
    model_containers,
    variable,
    with_spec,
)
from sampan.platforms.kubernetes.pods.image_fetch import fetch_images
from sampan.platforms.kubernetes.pods.settings import InitializerSettings

MODELCAR, MODELCAR_INIT = "modelcar", "modelcar-init"
MODELCAR_MODE, NATIVE_MODE, FETCH_MODE = MODES = ("modelcar", "native", "fetch")
MOST_IMAGES = 10
"""In a pod: each brings two containers and a volume (KServe)."""
_VOLUME = "kserve-provision-location"
_CHECK = "ls -A /models | grep -q . || { echo 'the image has no files in /models' >&2; exit 1; }"


def is_image(uri: str) -> bool:
    """Return whether a URI names a container image."""
    return uri.startswith(("oci://", "oci+"))


def mount_images(
    pod: JsonObject, sources: Sequence[ModelSource], settings: InitializerSettings
) -> JsonObject:
    """Return the pod with the models of images, each at its path.

    Raises Forbidden where no mode is configured, a URI names one that there is not, there are too
    many images, or their paths are in each other's way.
    """
    by_mode: dict[str, list[ModelSource]] = {mode: [] for mode in MODES}
    for source in sources:
        mode, reference = _split(source.uri, settings)
        by_mode[mode].append(replace(source, uri=reference))
    _check_room(by_mode)
    for source in by_mode[NATIVE_MODE]:
        pod = _mount_volume(pod, source)
    for index, source in enumerate(by_mode[MODELCAR_MODE]):
        pod = _inject_modelcar(pod, source, index, settings)
    fetched = [replace(s, uri=f"oci://{s.uri}") for s in by_mode[FETCH_MODE]]
    return fetch_images(pod, fetched, settings) if fetched else pod


def select_mode(uri: str, settings: InitializerSettings) -> str:
    """Return how the model of an image is brought: a word of `MODES`, or one that there is not."""
    return uri.partition("://")[0].partition("+")[2] or settings.oci_mode


def _split(uri: str, settings: InitializerSettings) -> tuple[str, str]:
    mode = select_mode(uri, settings)
    if not mode:
        raise Forbidden(
            f'OCI is not enabled, and the model is "{uri}"; set storageInitializer.enableModelcar '
            "in inferenceservice-config"
        )
    if mode not in MODES:
        raise Forbidden(f'unknown OCI mode "{mode}" in "{uri}"; write one of {", ".join(MODES)}')
    return mode, uri.partition("://")[2]


def _check_room(by_mode: dict[str, list[ModelSource]]) -> None:
    """A modelcar's volume covers the folder around its path, an image volume the path itself."""
    count = sum(len(sources) for sources in by_mode.values())
    if count > MOST_IMAGES:
        raise Forbidden(f"{count} images are more than the {MOST_IMAGES} of a pod; leave some out")
    for mode, place in ((MODELCAR_MODE, posixpath.dirname), (NATIVE_MODE, str)):
        taken: dict[str, str] = {}
        for source in by_mode[mode]:
            folder = place(source.path)
            if folder in taken:
                raise Forbidden(
                    f'"{source.path}" and "{taken[folder]}" are both mounted at "{folder}"; give '
                    + ("each a parent folder of its own" if mode == MODELCAR_MODE else "two paths")
                )
            taken[folder] = source.path


def _mount_volume(pod: JsonObject, source: ModelSource) -> JsonObject:
    name = make_volume_name(source.path)
    image = {"reference": source.uri, "pullPolicy": "IfNotPresent"}
    pod = add_volume(pod, {"name": name, "image": image})
    mount = {"name": name, "mountPath": source.path, "subPath": "models", "readOnly": True}
    return edit_containers(pod, model_containers(pod), lambda c: add_mount(c, mount))


def _inject_modelcar(
    pod: JsonObject, source: ModelSource, index: int, settings: InitializerSettings
) -> JsonObject:
    ending = f"-{index}" if index else ""
    if has_init_container(pod, f"{MODELCAR_INIT}{ending}"):
        return pod
    mount = {"name": f"{_VOLUME}{ending}", "mountPath": posixpath.dirname(source.path)}
    pod = add_volume(pod, {"name": mount["name"], "emptyDir": {}})
    pod = edit_containers(
        pod, model_containers(pod), lambda c: _reading(c, mount, settings.modelcar_uid)
    )
    same = _make_same(source, settings)
    user = settings.modelcar_uid
    sidecar = {
        **same,
        **({} if user is None else {"securityContext": {"runAsUser": user}}),
        "name": f"{MODELCAR}{ending}",
        "args": ["sh", "-c", _make_link(source.path)],
        "volumeMounts": [mount],
    }
    init = {**same, "name": f"{MODELCAR_INIT}{ending}", "args": ["sh", "-c", _CHECK]}
    pod = add_init_container(add_container(pod, sidecar), init)
    return with_spec(pod, shareProcessNamespace=True)


def _make_same(source: ModelSource, settings: InitializerSettings) -> JsonObject:
    """What the sidecar and the init container before it have in common."""
    amounts = {"cpu": settings.modelcar_cpu, "memory": settings.modelcar_memory}
    return {
        "image": source.uri,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": amounts, "limits": dict(amounts)},
    }


def _make_link(path: str) -> str:
    """The sidecar's files are reached through its root in /proc, hence the shared processes."""
    link = f"ln -sf /proc/$$$$/root/models {path} && sleep infinity"
    return link if path == MODEL_PATH else f"mkdir -p {posixpath.dirname(path)} && {link}"


def _reading(container: JsonObject, mount: JsonObject, user: int | None) -> JsonObject:
    """A server that waits for its files, under the user who may see the sidecar's root."""
    found = add_env(add_mount(container, mount), [variable("MODEL_INIT_MODE", "async")])
    if user is None:
        return found
    return {**found, "securityContext": {**found.get("securityContext", {}), "runAsUser": user}}
