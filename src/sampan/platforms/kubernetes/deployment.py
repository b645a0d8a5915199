"""Deployments: one for each workload.

KServe, Standard mode: metadata as its pods', selected by the label `app`; a server without a
readiness probe is ready when its first port accepts. Replicas are written only where no autoscaler
writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.pod_metadata import APP_LABEL, SOURCE_URI
from sampan.plan.scaling import SAMPAN
from sampan.plan.service import MAIN_CONTAINER, TRANSFORMER_CONTAINER
from sampan.plan.types import Role, Workload
from sampan.platforms.kubernetes.pods.storage_uris import mount_sources
from sampan.platforms.kubernetes.source import Source, make_workload_metadata

DEFAULT_PORT = 8080
_PROBED = frozenset({MAIN_CONTAINER, TRANSFORMER_CONTAINER})
# Also for the tag `latest`, for which Kubernetes alone would pull at each start (KServe).
_PULL = {"imagePullPolicy": "IfNotPresent"}
# A worker joins a head of its own generation: all new ones come before any old one goes.
_WORKER_STRATEGY = {
    "type": "RollingUpdate",
    "rollingUpdate": {"maxUnavailable": "0%", "maxSurge": "100%"},
}


def render_deployment(source: Source, workload: Workload) -> JsonObject:
    """Return the Deployment of a workload."""
    strategy = _strategy(source, workload)
    fixed = _fixed_replicas(workload)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": make_workload_metadata(source, workload),
        "spec": {
            **({"replicas": fixed} if fixed is not None else {}),
            "selector": {"matchLabels": make_selector(workload)},
            "template": make_template(source, workload),
            **({"strategy": strategy} if strategy else {}),
        },
    }


def make_selector(workload: Workload) -> dict[str, str]:
    """Return the labels by which a workload's pods are found."""
    return {APP_LABEL: workload.template["metadata"]["labels"][APP_LABEL]}


def make_template(source: Source, workload: Workload) -> JsonObject:
    """Return the pod template. It bears the workload's name and namespace, as KServe's does, so
    that taking a service over changes no template."""
    metadata, spec = workload.template["metadata"], make_pod_spec(source, workload)
    containers = [{**_PULL, **_probed(container)} for container in spec["containers"]]
    return {
        "metadata": {"name": workload.name, "namespace": source.namespace, **metadata},
        "spec": {**spec, "containers": containers},
    }


def make_pod_spec(source: Source, workload: Workload) -> JsonObject:
    """Return a workload's pod spec, with the models of its `storageUris` where it has those.

    A single model is the pod webhook's to bring.
    """
    template: JsonObject = dict(workload.template)
    if workload.models and SOURCE_URI not in template["metadata"]["annotations"]:
        template = mount_sources(template, workload.models, source.around)
    spec: JsonObject = template["spec"]
    return spec


def _probed(container: Mapping[str, Any]) -> JsonObject:
    if container.get("name") not in _PROBED or container.get("readinessProbe"):
        return dict(container)
    ports = container.get("ports") or [{}]
    port = ports[0].get("containerPort") or DEFAULT_PORT
    probe = {
        "tcpSocket": {"port": port},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    return {**container, "readinessProbe": probe}


def _strategy(source: Source, workload: Workload) -> Mapping[str, Any] | None:
    """The user's own, else what the operator configured; Kubernetes's where neither speaks."""
    if workload.role is Role.WORKER:
        return _WORKER_STRATEGY
    if workload.deployment_strategy is not None:
        return _with_numbers(workload.deployment_strategy)
    if source.settings.rollout and source.config.default_deployment_mode == "Standard":
        rolling = {"type": "RollingUpdate", "rollingUpdate": dict(source.settings.rollout)}
        return _with_numbers(rolling)
    return None


def _with_numbers(strategy: Mapping[str, Any]) -> Mapping[str, Any]:
    """A text of digits is meant as a number: Kubernetes takes texts for percentages alone."""
    rolling = strategy.get("rollingUpdate")
    if not rolling:
        return strategy
    read = {k: int(v) if str(v).isdigit() else v for k, v in rolling.items()}
    return {**strategy, "rollingUpdate": read}


def _fixed_replicas(workload: Workload) -> int | None:
    if workload.role is Role.WORKER:
        return workload.replicas
    scaling = workload.scaling
    # A canary's number is fixed; KServe has an autoscaler keep it.
    alone = scaling.autoscaler == SAMPAN and workload.role is Role.CANARY
    return scaling.minimum if scaling.autoscaler == "none" or alone else None
