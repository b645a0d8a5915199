"""Services: the name under which a workload's pods are asked inside the cluster.

KServe, Standard mode: the first port of the serving container becomes port 80 of the Service, the
others keep their numbers; a container without ports is asked on 8080. Requests that a logger or a
batcher sees go to the agent's port first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.service import TRANSFORMER_CONTAINER
from sampan.plan.types import Role, Workload
from sampan.platforms.kubernetes.deployment import DEFAULT_PORT, make_selector
from sampan.platforms.kubernetes.source import Source, make_workload_metadata

SERVICE_PORT = 80
AGENT_PORT = 9081
_HTTP2 = "kubernetes.io/h2c"


def render_service(source: Source, workload: Workload) -> JsonObject:
    """Return the Service of a workload."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": make_workload_metadata(source, workload),
        "spec": {
            "selector": make_selector(workload),
            "ports": make_ports(workload),
            **({"clusterIP": "None"} if source.settings.cluster_ip_none else {}),
        },
    }


def make_ports(workload: Workload) -> list[JsonObject]:
    """Return the ports of a workload's Service, the one that clients use first."""
    container = _serving(workload.template["spec"]["containers"])
    first, *others = container.get("ports") or [
        {"name": workload.name, "containerPort": DEFAULT_PORT}
    ]
    front = _port(first, SERVICE_PORT)
    # A canary is never asked through its agent in KServe; here it is, or its share is not logged.
    if workload.behind_agent:
        front["targetPort"] = AGENT_PORT
    return [front, *(_port(port, port["containerPort"]) for port in others)]


def _serving(containers: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    named = (c for c in containers if c.get("name") == TRANSFORMER_CONTAINER)
    return next(named, containers[0])


def _port(port: Mapping[str, Any], number: int) -> JsonObject:
    name = str(port.get("name") or "")
    return {
        **({"name": name} if name else {}),
        "port": number,
        "targetPort": port["containerPort"],
        "protocol": port.get("protocol") or "TCP",
        **({"appProtocol": _HTTP2} if "grpc" in name or "h2c" in name else {}),
    }


def is_served(workload: Workload) -> bool:
    """Return whether clients ask a workload by a Service of its name."""
    return workload.role is not Role.WORKER
