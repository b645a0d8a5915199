"""What an operator configured about pods: images, resources, credentials' key names, defaults.

The part of `inferenceservice-config` that the pod webhook reads. Defaults are KServe's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.settings import make_resources


@dataclass(frozen=True, slots=True)
class InitializerSettings:
    """The init container that fetches models, and models that come as images.

    `oci_mode`: `modelcar`, `native` or `fetch`; "" where `oci://` is off. `modelcar_uid` is the
    user of a modelcar and its server, where set. `namespace` is the operator's own.
    """

    image: str = "kserve/storage-initializer:latest"
    resources: JsonObject = field(default_factory=dict)
    ca_config_map: str = ""
    ca_path: str = "/etc/ssl/custom-certs"
    oci_mode: str = ""
    modelcar_cpu: str = "10m"
    modelcar_memory: str = "15Mi"
    modelcar_uid: int | None = None
    insecure_registry: bool = False
    namespace: str = "kserve"


@dataclass(frozen=True, slots=True)
class CredentialSettings:
    """How Secrets are read. `s3` are the fallbacks of S3 by their key in the configuration."""

    spec_secret: str = "storage-config"  # noqa: S105  # the name of a Secret, not its content
    secret_annotation: str = ""
    gcs_file: str = "gcloud-application-credentials.json"
    s3_id_key: str = "awsAccessKeyID"
    s3_secret_key: str = "awsSecretAccessKey"  # noqa: S105  # the name of a key, not its content
    s3: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The sidecar for logging, batching and pulling models; `logger` as it is configured."""

    image: str = "kserve/agent:latest"
    resources: JsonObject = field(default_factory=dict)
    logger: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodSettings:
    """All of it. `aggregate` and `scrape` are what pods say where they say nothing."""

    initializer: InitializerSettings = InitializerSettings()
    credentials: CredentialSettings = CredentialSettings()
    agent: AgentSettings = AgentSettings()
    aggregate: bool = False
    scrape: bool = False


def parse_pod_settings(data: Mapping[str, str], namespace: str = "kserve") -> PodSettings:
    """Return the settings in the `data` of an `inferenceservice-config` that has been checked.

    `namespace`: where it lies.
    """
    read = {key: _object(text) for key, text in data.items() if key != "_example"}
    agent, metrics = read.get("agent", {}), read.get("metricsAggregator", {})
    return PodSettings(
        initializer=_initializer(read.get("storageInitializer", {}), namespace),
        credentials=_credentials(read.get("credentials", {})),
        agent=AgentSettings(
            image=str(agent.get("image") or "kserve/agent:latest"),
            resources=make_resources(agent),
            logger=read.get("logger", {}),
        ),
        aggregate=_is_true(metrics.get("enableMetricAggregation")),
        scrape=_is_true(metrics.get("enablePrometheusScraping")),
    )


def _initializer(read: Mapping[str, Any], namespace: str) -> InitializerSettings:
    texts = {
        "image": "image",
        "ca_config_map": "caBundleConfigMapName",
        "ca_path": "caBundleVolumeMountPath",
        "modelcar_cpu": "cpuModelcar",
        "modelcar_memory": "memoryModelcar",
    }
    given = {name: str(read[key]) for name, key in texts.items() if read.get(key)}
    enabled = read.get("enableModelcar") or read.get("enableOciModelSupport")
    uid = read.get("uidModelcar")
    return InitializerSettings(
        resources=make_resources(read),
        oci_mode=str(read.get("ociModelMode") or ("modelcar" if enabled else "")),
        modelcar_uid=int(uid) if uid is not None else None,
        insecure_registry=bool(read.get("ociInsecureRegistry")),
        namespace=namespace,
        **given,
    )


def _credentials(read: Mapping[str, Any]) -> CredentialSettings:
    s3 = read.get("s3") or {}
    texts = {
        "spec_secret": read.get("storageSpecSecretName"),
        "secret_annotation": read.get("storageSecretNameAnnotation"),
        "gcs_file": (read.get("gcs") or {}).get("gcsCredentialFileName"),
        "s3_id_key": s3.get("s3AccessKeyIDName"),
        "s3_secret_key": s3.get("s3SecretAccessKeyName"),
    }
    given = {name: str(value) for name, value in texts.items() if value}
    return CredentialSettings(s3={k: str(v) for k, v in s3.items() if v}, **given)


def _object(text: str) -> JsonObject:
    value = json.loads(text)
    return value if isinstance(value, dict) else {}


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"
