"""Certificates of an operator's own authorities, for the container that fetches models.

KServe, CA bundle: a ConfigMap that lies in every namespace under one name, mounted and named in
variables; a Secret for S3 may name one of its own.
"""

from __future__ import annotations

import posixpath

from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.pods.containers import add_env, add_mount, add_volume, variable
from sampan.platforms.kubernetes.pods.s3_settings import CA_CONFIG_MAP_ENV, CA_FILE_ENV
from sampan.platforms.kubernetes.pods.settings import InitializerSettings

VOLUME = "cabundle-cert"
GLOBAL_CONFIG_MAP = "global-ca-bundle"


def add_ca_bundle(
    pod: JsonObject, container: JsonObject, settings: InitializerSettings
) -> tuple[JsonObject, JsonObject]:
    """Return the pod and its container with the certificates, as they are where none are wanted."""
    given = {e.get("name"): str(e.get("value") or "") for e in container.get("env") or ()}
    config_map = given.get(CA_CONFIG_MAP_ENV) or _everybody_s(pod, settings)
    if not config_map:
        return pod, container
    # S3's client is told a file, so that is where its certificates must be.
    file = given.get(CA_FILE_ENV)
    path = posixpath.dirname(file) if file else settings.ca_path
    pod = add_volume(pod, {"name": VOLUME, "configMap": {"name": config_map}})
    container = add_env(
        container,
        [
            variable("CA_BUNDLE_CONFIGMAP_NAME", config_map),
            variable("CA_BUNDLE_VOLUME_MOUNT_POINT", path),
        ],
    )
    mount = {"name": VOLUME, "mountPath": path, "readOnly": True}
    return pod, add_mount(container, mount)


def _everybody_s(pod: JsonObject, settings: InitializerSettings) -> str:
    """The configured ConfigMap lies in the operator's namespace, and is copied into the others."""
    if not settings.ca_config_map:
        return ""
    at_home = pod["metadata"].get("namespace") == settings.namespace
    return settings.ca_config_map if at_home else GLOBAL_CONFIG_MAP
