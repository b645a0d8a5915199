"""What protects a workload's pods: a PodDisruptionBudget, and a NetworkPolicy of who may ask.

By the service's annotations alone (`sampan.plan.protection`).
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.machinery.registry import JsonObject
from sampan.plan.protection import read_allowed, read_min_available
from sampan.plan.types import Role, Workload
from sampan.platforms.kubernetes.deployment import make_selector
from sampan.platforms.kubernetes.source import Source, make_metadata

_NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that every namespace has (Kubernetes, "Well-Known Labels")."""


def render_protection(source: Source, workload: Workload) -> Iterator[JsonObject]:
    """Yield what protects the pods of a workload, as far as it is asked for.

    Workers of a multi-node service come and go with their head: they have no budget of their own.
    """
    available = read_min_available(source.service)
    if available is not None and workload.role is Role.STABLE:
        yield _render_budget(source, workload, available)
    allowed = read_allowed(source.service)
    if allowed is not None:
        yield _render_policy(source, workload, allowed)


def _render_budget(source: Source, workload: Workload, available: int | str) -> JsonObject:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(source, workload),
        "spec": {
            "minAvailable": available,
            "selector": {"matchLabels": make_selector(workload)},
            # A pod that is not ready helps nobody: it may go, or a broken one holds up a drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _render_policy(source: Source, workload: Workload, allowed: tuple[str, ...]) -> JsonObject:
    peers = [{"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: name}}} for name in allowed]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(source, workload),
        "spec": {
            "podSelector": {"matchLabels": make_selector(workload)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": peers}],
        },
    }


def _metadata(source: Source, workload: Workload) -> JsonObject:
    return make_metadata(source, workload.name, workload.template["metadata"]["labels"], {})
