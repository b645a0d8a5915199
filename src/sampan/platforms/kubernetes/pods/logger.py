"""The agent's arguments for logging requests and answers.

KServe, logger: the pod's annotations say what is logged; where it is stored and how it is batched
is the predictor's `logger`, else the operator's configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.pod_metadata import (
    COMPONENT_LABEL,
    LOGGER,
    LOGGER_ANNOTATIONS,
    LOGGER_HEADERS,
    LOGGER_MODE,
    LOGGER_URL,
    SERVICE_LABEL,
)
from sampan.platforms.kubernetes.pods.containers import (
    add_mount,
    add_volume,
    annotations_of,
    labels_of,
)
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

DEFAULT_ACCOUNT = "logger-sa"
CA_VOLUME, CA_PATH = "agent-ca-bundle", "/etc/tls/logger"


def make_logger_arguments(pod: Mapping[str, Any], around: Surroundings) -> Iterator[str]:
    """Yield the arguments; those of settings that are not made are left out."""
    annotations, labels, metadata = annotations_of(pod), labels_of(pod), pod["metadata"]
    configured = around.settings.agent.logger
    url = annotations.get(LOGGER_URL) or str(configured.get("defaultUrl") or "")
    yield from ("--log-url", url)
    yield from ("--source-uri", str(metadata.get("name") or metadata.get("generateName") or ""))
    yield from ("--log-mode", annotations.get(LOGGER_MODE) or "all")
    yield from ("--inference-service", labels.get(SERVICE_LABEL, ""))
    yield from ("--namespace", str(metadata.get("namespace") or ""))
    yield from ("--endpoint", labels.get("endpoint", ""))
    yield from ("--component", labels.get(COMPONENT_LABEL, ""))
    settings = _settings(around)
    for name, value in _optional(settings, annotations):
        if value:
            yield from (name, value)
    if LOGGER_ANNOTATIONS in annotations:  # also where the pod has none of them, as KServe
        yield from ("--metadata-annotations", _metadata(annotations))
    if configured.get("caCertFile"):
        yield from ("--logger-ca-cert-file", str(configured["caCertFile"]))
    yield from ("--logger-tls-skip-verify", str(bool(configured.get("tlsSkipVerify"))).lower())


def logger_account(pod: Mapping[str, Any], around: Surroundings) -> tuple[str, ...]:
    """Return the ServiceAccount whose credentials open the store of the log, none without one."""
    storage = _settings(around).get("storage") or {}
    if LOGGER not in annotations_of(pod) or not storage:
        return ()
    return (str(storage.get("serviceAccountName") or DEFAULT_ACCOUNT),)


def add_logger_authorities(
    pod: JsonObject, agent: JsonObject, around: Surroundings
) -> tuple[JsonObject, JsonObject]:
    """Return the pod and its agent with the configured certificates by which a log's sink is known.

    The ConfigMap may be missing: then nothing is mounted.
    """
    name = around.settings.agent.logger.get("caBundle")
    if not name:
        return pod, agent
    source = {"name": str(name), "optional": True}
    pod = add_volume(pod, {"name": CA_VOLUME, "configMap": source})
    return pod, add_mount(agent, {"name": CA_VOLUME, "mountPath": CA_PATH, "readOnly": True})


def _settings(around: Surroundings) -> Mapping[str, Any]:
    """The predictor's logger speaks for every component; what it leaves open is configured."""
    service = around.service or {}
    own = ((service.get("spec") or {}).get("predictor") or {}).get("logger") or {}
    names = ("storage", "marshallerUrl", "batchSize", "batchInterval")
    configured = around.settings.agent.logger
    return {name: own.get(name) or configured.get(name) for name in names}


def _optional(
    settings: Mapping[str, Any], annotations: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    storage = settings.get("storage") or {}
    yield "--log-store-path", str(storage.get("path") or "")
    yield "--log-store-format", str((storage.get("parameters") or {}).get("format") or "")
    yield "--log-marshaller-url", str(settings.get("marshallerUrl") or "")
    size = int(settings.get("batchSize") or 0)
    yield "--log-batch-size", str(size) if size > 0 else ""
    yield "--log-batch-interval", str(settings.get("batchInterval") or "")
    yield "--metadata-headers", annotations.get(LOGGER_HEADERS, "")


def _metadata(annotations: Mapping[str, str]) -> str:
    named = annotations[LOGGER_ANNOTATIONS].split(",")
    return ",".join(f"{name}={annotations[name]}" for name in named if name in annotations)
