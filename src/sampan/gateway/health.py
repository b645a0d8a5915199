"""What Envoy knows of its endpoints: health, and counters for the autoscaler. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sampan.gateway import bare, held
from sampan.gateway.table import Endpoint
from sampan.machinery.registry import JsonObject


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """One endpoint as Envoy sees it.

    `active` requests are on their way now; `total` and `failed` (connection refused, or answered
    5xx) count from Envoy's start or from when the endpoint was added.
    """

    endpoint: Endpoint
    healthy: bool
    active: int
    total: int
    failed: int


_OWN = frozenset({held.CLUSTER, bare.CLUSTER})
"""Clusters of the gateway itself, which serve no model."""

Health: TypeAlias = Mapping[str, tuple[EndpointHealth, ...]]
"""By cluster name; a cluster without endpoints has an empty tuple."""


def make_health(clusters: JsonObject) -> Health:
    """Return the health in the answer of Envoy's `/clusters?format=json`."""
    return {
        status["name"]: tuple(_endpoint_health(host) for host in status.get("host_statuses", ()))
        for status in clusters.get("cluster_statuses", ())
        if status["name"] not in _OWN
    }


def _endpoint_health(host: JsonObject) -> EndpointHealth:
    address = host["address"]["socket_address"]
    # Envoy leaves out what is zero or false.
    stats = {stat["name"]: int(stat.get("value", 0)) for stat in host.get("stats", ())}
    status = host.get("health_status", {})
    failing = status.get("failed_active_health_check") or status.get("pending_active_hc")
    return EndpointHealth(
        endpoint=Endpoint(address["address"], int(address["port_value"])),
        healthy=not failing,
        active=stats.get("rq_active", 0),
        total=stats.get("rq_total", 0),
        failed=stats.get("cx_connect_fail", 0) + stats.get("rq_error", 0),
    )
