"""The login for a registry that a service's pull Secrets hold, as a file of a pod would. Pure.

Kubernetes, "Pull an Image from a Private Registry": a pod's own `imagePullSecrets`, else those of
its ServiceAccount. KServe projects the first of them for the storage initializer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.storage.base import StorageError
from sampan.storage.oci_login import PROJECTED

KEY = ".dockerconfigjson"
IMAGES = ("oci://", "oci+")


def select_pull_secret(pod: JsonObject, account: Mapping[str, Any] | None) -> str:
    """Return the name of the Secret that opens a pod's registry, "" for none."""
    listed = pod["spec"].get("imagePullSecrets") or (account or {}).get("imagePullSecrets") or ()
    return next((str(one["name"]) for one in listed if one.get("name")), "")


def make_login_file(name: str, data: Mapping[str, bytes]) -> dict[str, str]:
    """Return the file that a Secret's data stands for, by its path; raise StorageError."""
    if KEY not in data:
        raise StorageError(
            "InvalidStorageSettings",
            f'the pull Secret "{name}" has no key "{KEY}"; make it by kubectl create secret '
            "docker-registry",
            retryable=True,
        )
    return {PROJECTED: data[KEY].decode(errors="replace")}
