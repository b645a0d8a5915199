"""Certificates of an operator's own authorities, for the container that fetches models.

KServe, CA bundle: a ConfigMap that lies in every namespace under one name, mounted and named in
variables; a Secret for S3 may name one of its own.
"""

from __future__ import annotations

from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.pods.containers import add_env, add_mount, add_volume, variable
from sampan.platforms.kubernetes.pods.s3_settings import CA_CONFIG_MAP_ENV
from sampan.platforms.kubernetes.pods.settings import InitializerSettings

VOLUME = "cabundle-cert"
GLOBAL_CONFIG_MAP = "global-ca-bundle"


def add_ca_bundle(
    pod: JsonObject, container: JsonObject, settings: InitializerSettings
) -> tuple[JsonObject, JsonObject]:
    """Return the pod and its container with the certificates, as they are where none are wanted."""
    named = (e for e in container.get("env") or () if e.get("name") == CA_CONFIG_MAP_ENV)
    own = next((str(e.get("value") or "") for e in named), "")
    config_map = own or (GLOBAL_CONFIG_MAP if settings.ca_config_map else "")
    if not config_map:
        return pod, container
    pod = add_volume(pod, {"name": VOLUME, "configMap": {"name": config_map}})
    container = add_env(
        container,
        [
            variable("CA_BUNDLE_CONFIGMAP_NAME", config_map),
            variable("CA_BUNDLE_VOLUME_MOUNT_POINT", settings.ca_path),
        ],
    )
    mount = {"name": VOLUME, "mountPath": settings.ca_path, "readOnly": True}
    return pod, add_mount(container, mount)
