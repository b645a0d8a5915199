"""The workload of a component: its pod template, how many replicas, under which model name.

KServe, generated objects per component: metadata of runtime, service and component in that order,
system labels last; `INFERENCE_SERVICE_NAME` in every container.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sampan.api.config import Config
from sampan.machinery.registry import JsonObject
from sampan.plan.merge import main_container
from sampan.plan.model import modelconfig_name, storage_of
from sampan.plan.pod_metadata import (
    SOURCE_URI,
    STORAGE_CONTAINER,
    Inherited,
    make_agent,
    make_batcher,
    make_confidential,
    make_logger,
    make_pod_metadata,
    make_storage_spec,
)
from sampan.plan.rollout_settings import ROLLOUT_ANNOTATIONS
from sampan.plan.scaling import AUTOSCALER_CLASS, make_scaling
from sampan.plan.select import Selection
from sampan.plan.server_type import RuntimeDefaults
from sampan.plan.service import (
    TRANSFORMER_CONTAINER,
    annotations_of,
    component_name,
    model,
    predictor,
)
from sampan.plan.types import Component, ModelSource, PodTemplate, Role, Workload

# The version of what goes into a template hash; a new one re-stamps workloads, never restarts them.
HASH_VERSION = "v1"
_HASH_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Parts:
    """What has been decided about a predictor before its workload is made.

    `spec` is the merged pod spec, `models` where its model comes from.
    """

    service: Mapping[str, Any]
    config: Config
    selection: Selection
    defaults: RuntimeDefaults
    spec: Mapping[str, Any]
    models: tuple[ModelSource, ...]


def make_predictor(parts: Parts, role: Role = Role.STABLE) -> Workload:
    """Return the predictor's workload."""
    service, own = parts.service, predictor(parts.service)
    name = component_name(service, Component.PREDICTOR)
    metadata = _make_metadata(parts, name)
    template = {"metadata": metadata, "spec": dict(parts.spec)}
    strategy = own.get("deploymentStrategy") or {}
    return Workload(
        component=Component.PREDICTOR,
        name=name,
        template=template,
        template_hash=make_template_hash(
            template, parts.models, _whole(own.get("containerConcurrency"))
        ),
        replicas=make_replicas(service),
        model_name=_make_model_name(service, parts.spec),
        models=parts.models,
        protocol=_make_protocol(parts),
        runtime_name=parts.selection.name,
        strategy=str(strategy.get("type") or "RollingUpdate"),
        timeout_seconds=_whole(own.get("timeout")),
        container_concurrency=_whole(own.get("containerConcurrency")),
        scaling=make_scaling(own, metadata["annotations"]),
        deployment_strategy=own.get("deploymentStrategy"),
        role=role,
        canary_percent=_whole(own.get("canaryTrafficPercent")),
        behind_agent=is_behind_agent(own),
    )


def is_behind_agent(component: Mapping[str, Any]) -> bool:
    """Return whether a component's requests pass through the agent in its pod first."""
    return component.get("logger") is not None or component.get("batcher") is not None


def make_replicas(service: Mapping[str, Any]) -> int:
    """Return how many replicas run: `minReplicas`, and at least one unless no autoscaler is meant.

    As in Standard mode, where an autoscaler's minimum is never below one.
    """
    minimum = predictor(service).get("minReplicas")
    wanted = 1 if minimum is None else int(minimum)
    fixed = annotations_of(service).get(AUTOSCALER_CLASS) == "none"
    return wanted if fixed else max(wanted, 1)


def make_template_hash(
    template: PodTemplate, models: tuple[ModelSource, ...], concurrency: int | None = None
) -> str:
    """Return `v1-...`, equal for equal meaning: the order of keys plays no part, nor do annotations
    that only say how it is rolled out.
    """
    meaning: list[Any] = [_without_rollout(template), [[m.uri, m.path, m.trusted] for m in models]]
    if concurrency:  # it belongs to a revision, as in Knative; no limit changes no hash
        meaning.append(concurrency)
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{HASH_VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]}"


def _without_rollout(template: PodTemplate) -> PodTemplate:
    metadata = template.get("metadata") or {}
    given = metadata.get("annotations") or {}
    if ROLLOUT_ANNOTATIONS.isdisjoint(given):
        return template
    kept = {k: v for k, v in given.items() if k not in ROLLOUT_ANNOTATIONS}
    return {**template, "metadata": {**metadata, "annotations": kept}}


def _make_metadata(parts: Parts, name: str) -> JsonObject:
    service, own = parts.service, predictor(parts.service)
    runtime = parts.selection.runtime.get("spec") or {}
    config_map = modelconfig_name(service)
    handed_on = {
        **(
            {SOURCE_URI: parts.models[0].uri} if parts.models and not own.get("storageUris") else {}
        ),
        **make_storage_spec(storage_of(service)),
        **make_confidential((model(service) or {}).get("confidential")),
        **({STORAGE_CONTAINER: str(c)} if (c := own.get("storageContainerName")) else {}),
        **make_logger(own.get("logger")),
        **make_batcher(own.get("batcher")),
        **(make_agent(config_map) if config_map else {}),
    }
    inherited = Inherited(
        runtime.get("labels") or {}, runtime.get("annotations") or {}, parts.defaults.labels
    )
    return make_pod_metadata(service, parts.config, Component.PREDICTOR, name, inherited, handed_on)


def _make_model_name(service: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """The last `--model_name` of the server's arguments (the last one counts), else the service's
    name."""
    container = main_container(spec)
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    name = str(service["metadata"]["name"])
    for word, following in pairwise([*words, ""]):
        if word.startswith("--model_name="):
            name = word.partition("=")[2]
        elif word == "--model_name" and following:
            name = following
    return name


def _make_protocol(parts: Parts) -> str:
    """A model's protocol; of a custom predictor the variable `PROTOCOL`; `v1` when nothing says."""
    if model(parts.service) is not None:
        return parts.defaults.protocol or "v1"
    containers = parts.spec["containers"]
    asked = next((c for c in containers if c.get("name") == TRANSFORMER_CONTAINER), containers[0])
    entries = [e for e in asked.get("env") or () if e.get("name") == "PROTOCOL"]
    return str(entries[-1].get("value") or "v1") if entries else "v1"


def _whole(value: object) -> int | None:
    return int(str(value)) if value is not None else None
