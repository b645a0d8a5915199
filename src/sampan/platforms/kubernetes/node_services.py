"""The Services by which the head and the workers of a model on several nodes find each other.

KServe, multi-node: headless, of one generation, and naming pods before they are ready, for the
workers must find the head while it waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.machinery.registry import JsonObject
from sampan.plan.multinode import (
    GENERATION_LABEL,
    generation,
    head_service_name,
    worker_service_name,
)
from sampan.plan.types import Component, Role, Workload
from sampan.platforms.kubernetes.deployment import make_selector
from sampan.platforms.kubernetes.source import Source, make_metadata

ROLE_LABEL = "multinode/role"


def render_node_services(source: Source) -> Iterator[JsonObject]:
    """Yield the Services of head and workers, none for a model on one node."""
    head = source.workload(Component.PREDICTOR)
    workers = next((w for w in source.plan.workloads if w.role is Role.WORKER), None)
    if head is None or workers is None:
        return
    service = source.service
    yield _render(source, head, head_service_name(service), ("head", head))
    yield _render(source, head, worker_service_name(service), ("worker", workers))


def _render(source: Source, head: Workload, name: str, found: tuple[str, Workload]) -> JsonObject:
    """Both bear the head's metadata; `found` is the role, and the workload of that role."""
    role, workload = found
    metadata = head.template["metadata"]
    labels = {**metadata["labels"], ROLE_LABEL: role}
    selector = {**make_selector(workload), GENERATION_LABEL: generation(source.service)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": make_metadata(source, name, labels, metadata["annotations"]),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector,
        },
    }
