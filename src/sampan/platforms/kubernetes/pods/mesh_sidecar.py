"""The user under which a model is fetched beside Istio's sidecar.

KServe, Istio CNI: the sidecar does not run yet while init containers do, and the traffic of every
user but the sidecar's own goes to it; so the storage initializer runs as that user. Where Istio
works without its CNI plugin (`istio-init` is there), or does not redirect, nothing is changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sampan.machinery.errors import Forbidden
from sampan.machinery.registry import JsonObject
from sampan.plan.fields.cluster_silences import INITIALIZER_USER, read_user
from sampan.platforms.kubernetes.pods.containers import (
    INITIALIZER,
    annotations_of,
    find_container,
    has_init_container,
    with_spec,
)
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

INTERCEPTION, REDIRECT = "sidecar.istio.io/interceptionMode", "REDIRECT"
STATUS = "sidecar.istio.io/status"
ISTIO_INIT = "istio-init"
ISTIO_USER = 1337
"""Istio's own, where its container names none."""


def follow_sidecar(pod: JsonObject, _: Surroundings) -> JsonObject:
    """Return the pod with the storage initializer under the sidecar's user; raise Forbidden."""
    if not has_init_container(pod, INITIALIZER):
        return pod
    user = _wanted_user(pod)
    if user is None:
        return pod
    containers = [
        {**c, "securityContext": {**(c.get("securityContext") or {}), "runAsUser": user}}
        if c.get("name") == INITIALIZER
        else c
        for c in pod["spec"]["initContainers"]
    ]
    return with_spec(pod, initContainers=containers)


def _wanted_user(pod: JsonObject) -> int | None:
    """The annotated user, else that of the sidecar; None: the image's own."""
    annotations = annotations_of(pod)
    if INITIALIZER_USER in annotations:
        return read_user(annotations[INITIALIZER_USER])  # of what is none, who applies it is told
    redirects = annotations.get(INTERCEPTION) == REDIRECT
    if not redirects or STATUS not in annotations or has_init_container(pod, ISTIO_INIT):
        return None
    name = _sidecar_name(annotations[STATUS])
    sidecar = find_container(pod, name) if name else None
    if sidecar is None:
        return None
    user = (sidecar.get("securityContext") or {}).get("runAsUser")
    return ISTIO_USER if user is None else int(user)


def _sidecar_name(text: str) -> str:
    """The first container that Istio says it added."""
    try:
        status: Mapping[str, Any] = json.loads(text)
        names = list(status.get("containers") or ())
    except (ValueError, AttributeError, TypeError):
        raise Forbidden(
            f'annotation {STATUS} is "{text}", which is no JSON object; Istio writes it, so let it'
        ) from None
    return str(names[0]) if names else ""
