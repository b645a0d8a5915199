"""A model in a PersistentVolumeClaim: mounted, not fetched.

KServe, storage handling: `pvc://name/path` mounts the path of the claim where servers look for
models. A model of a local cache lies in that cache's claim.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sampan.machinery.registry import JsonObject
from sampan.plan.model import MODEL_PATH
from sampan.plan.pod_metadata import INTERNAL
from sampan.platforms.kubernetes.pods.containers import (
    add_mount,
    add_volume,
    edit_containers,
    model_containers,
)

VOLUME = "kserve-pvc-source"
LOCAL_MODEL_URI = f"{INTERNAL}localmodel-sourceuri"
LOCAL_MODEL_CLAIM = f"{INTERNAL}localmodel-pvc-name"
_KEY_LENGTH = 16


def mount_claim(pod: JsonObject, uri: str, *, read_only: bool) -> JsonObject:
    """Return the pod with the claim of a `pvc://` URI mounted in the containers that see models."""
    name, _, path = uri.removeprefix("pvc://").partition("/")
    claim = {"claimName": name}
    pod = add_volume(pod, {"name": VOLUME, "persistentVolumeClaim": claim})
    mount = {
        "name": VOLUME,
        "mountPath": MODEL_PATH,
        **({"subPath": path} if path else {}),
        **({"readOnly": True} if read_only else {}),
    }
    return edit_containers(pod, model_containers(pod), lambda c: add_mount(c, mount))


def to_local_claim(uri: str, annotations: Mapping[str, str]) -> str:
    """Return where a cached model lies: the folder of its source in the cache's claim."""
    cached = annotations[LOCAL_MODEL_URI].rstrip("/")
    below = uri.rstrip("/").removeprefix(cached).strip("/")
    key = make_storage_key(annotations[LOCAL_MODEL_URI])
    claim = annotations.get(LOCAL_MODEL_CLAIM, "")
    return "/".join(part for part in (f"pvc://{claim}/models", key, below) if part)


def make_storage_key(uri: str) -> str:
    """Return the name of a cached model's folder (KServe, local models)."""
    return hashlib.sha256(uri.encode()).hexdigest()[:_KEY_LENGTH]
