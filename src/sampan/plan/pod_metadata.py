"""Labels and annotations of a component's pods.

KServe, object metadata: the runtime's, the service's and the component's own in that order, later
ones winning, then what the system itself writes. Annotations of the last kind hand the model's
place, the logger, the batcher and the model agent on to whoever makes the pod.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.api.config import Config
from sampan.machinery.registry import JsonObject
from sampan.plan.service import annotations_of, labels_of
from sampan.plan.types import Component

INTERNAL = "internal.serving.kserve.io/"
SOURCE_URI = f"{INTERNAL}storage-initializer-sourceuri"
STORAGE_SPEC = f"{INTERNAL}storage-spec"
STORAGE_SPEC_KEY = f"{INTERNAL}storage-spec-key"
STORAGE_SPEC_PARAM = f"{INTERNAL}storage-spec-param"
STORAGE_CONTAINER = f"{INTERNAL}storage-container-name"
BATCHER = f"{INTERNAL}batcher"
BATCHER_SIZE = f"{INTERNAL}batcher-max-batchsize"
BATCHER_LATENCY = f"{INTERNAL}batcher-max-latency"  # milliseconds
LOGGER = f"{INTERNAL}logger"
LOGGER_URL = f"{INTERNAL}logger-sink-url"
LOGGER_MODE = f"{INTERNAL}logger-mode"
LOGGER_HEADERS = f"{INTERNAL}logger-metadata-headers"
LOGGER_ANNOTATIONS = f"{INTERNAL}logger-metadata-annotations"
CONFIDENTIAL = f"{INTERNAL}confidential-enabled"
CONFIDENTIAL_RESOURCE = f"{INTERNAL}confidential-resource-id"
AGENT = f"{INTERNAL}agent"
AGENT_CONFIG_VOLUME = f"{INTERNAL}configVolumeName"
AGENT_CONFIG_PATH = f"{INTERNAL}configMountPath"
AGENT_MODEL_DIR = f"{INTERNAL}modelDir"

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
COMPONENT_LABEL = "component"
APP_LABEL = "app"


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a component's pods get from a runtime: its own metadata, and what its type adds."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)


def make_pod_metadata(
    service: Mapping[str, Any],
    config: Config,
    component: Component,
    name: str,
    inherited: Inherited,
    handed_on: Mapping[str, str],
) -> JsonObject:
    """Return the metadata of a component's pods; `name` is that of the component's object."""
    own = service["spec"].get(component.value) or {}
    copied = {
        **inherited.annotations,
        **annotations_of(service),
        **(own.get("annotations") or {}),
    }
    kept = {k: v for k, v in copied.items() if k not in config.annotations_kept_back}
    return {
        "labels": {
            **inherited.labels,
            **labels_of(service),
            **inherited.defaults,
            **(own.get("labels") or {}),
            SERVICE_LABEL: str(service["metadata"]["name"]),
            COMPONENT_LABEL: component.value,
            APP_LABEL: f"isvc.{name}",
        },
        "annotations": {**kept, **handed_on},
    }


def make_batcher(batcher: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what tells of a batcher."""
    if batcher is None:
        return {}
    named = {BATCHER_SIZE: batcher.get("maxBatchSize"), BATCHER_LATENCY: batcher.get("maxLatency")}
    return {BATCHER: "true"} | {k: str(v) for k, v in named.items() if v is not None}


def make_logger(logger: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what tells of a payload logger."""
    if logger is None:
        return {}
    named = {
        LOGGER_URL: str(logger.get("url") or ""),
        LOGGER_MODE: str(logger.get("mode") or ""),
        LOGGER_HEADERS: ",".join(logger.get("metadataHeaders") or ()),
        LOGGER_ANNOTATIONS: ",".join(logger.get("metadataAnnotations") or ()),
    }
    return {LOGGER: "true"} | {k: v for k, v in named.items() if v}


def make_storage_spec(storage: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what tells of a model whose place is an entry of a Secret."""
    if not storage:
        return {}
    parameters = storage.get("parameters") or {}
    named = {
        STORAGE_SPEC_KEY: str(storage.get("key") or ""),
        STORAGE_SPEC_PARAM: json.dumps(parameters, separators=(",", ":")) if parameters else "",
    }
    return {STORAGE_SPEC: "true"} | {k: v for k, v in named.items() if v}


def make_confidential(confidential: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what tells of a model that is encrypted, and of the resource that is its key."""
    if not confidential or not confidential.get("enabled"):
        return {}
    key = str(confidential.get("resourceId") or "")
    return {CONFIDENTIAL: "true", **({CONFIDENTIAL_RESOURCE: key} if key else {})}


def make_agent(config_map: str) -> dict[str, str]:
    """Return what tells of the agent that follows the list of models in a ConfigMap."""
    return {
        AGENT: "true",
        AGENT_CONFIG_VOLUME: config_map,
        AGENT_CONFIG_PATH: "/mnt/configs",
        AGENT_MODEL_DIR: "/mnt/models",
    }
