"""What Envoy knows of its endpoints' health, read from its admin interface's answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from sampan.gateway import bare, held
from sampan.gateway.table import Endpoint
from sampan.machinery.registry import JsonObject


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """One endpoint as Envoy sees it."""

    endpoint: Endpoint
    healthy: bool


@dataclass(frozen=True, slots=True)
class Members:
    """How many endpoints a cluster has, and how many of them are healthy."""

    healthy: int = 0
    total: int = 0

    @property
    def is_mixed(self) -> bool:
        """Tell whether some are healthy and some not: then two may change places unseen."""
        return 0 < self.healthy < self.total


_OWN = frozenset({held.CLUSTER, bare.CLUSTER})
"""Clusters of the gateway itself, which serve no model."""
_MOST_NAMED = 50
"""Clusters that are asked for by name; of more, all are."""
_GAUGE = re.compile(r"cluster\.(.*)\.membership_(healthy|total)")

MEMBERS_PATH = f"/stats?format=json&type=Gauges&filter={quote(f'^{_GAUGE.pattern}$', safe='')}"
"""Where Envoy tells how many members each cluster has: a twentieth of what it says of each."""

Health: TypeAlias = Mapping[str, tuple[EndpointHealth, ...]]
"""By cluster name; a cluster without endpoints has an empty tuple."""


def make_health(clusters: JsonObject) -> Health:
    """Return the health in the answer of Envoy's `/clusters?format=json`."""
    return {
        status["name"]: tuple(_endpoint_health(host) for host in status.get("host_statuses", ()))
        for status in clusters.get("cluster_statuses", ())
        if status["name"] not in _OWN
    }


def make_members(stats: JsonObject) -> Mapping[str, Members]:
    """Return how many members each cluster has, from the answer of `MEMBERS_PATH`."""
    counts: dict[str, dict[str, int]] = {}
    for stat in stats["stats"]:
        found = _GAUGE.fullmatch(stat.get("name", ""))
        if found:
            counts.setdefault(found[1], {})[found[2]] = int(stat.get("value") or 0)
    return {name: Members(**told) for name, told in counts.items() if name not in _OWN}


def select_unclear(before: Mapping[str, Members], now: Mapping[str, Members]) -> frozenset[str]:
    """Return the clusters that must be asked for, as their numbers alone do not tell all."""
    return frozenset(n for n, told in now.items() if told.is_mixed or before.get(n) != told)


def make_clusters_path(names: Collection[str]) -> str:
    """Return where Envoy tells of each endpoint of these clusters; of many, of all."""
    path = "/clusters?format=json"
    if len(names) > _MOST_NAMED:
        return path
    wanted = "|".join(map(re.escape, sorted(names)))
    return f"{path}&filter={quote(f'^({wanted})$', safe='')}"


def merge_health(before: Health, fresh: Health, names: Iterable[str]) -> Health:
    """Return the health of these clusters, by what is fresh of it and else by what was known.

    The value that there was where nothing is different.
    """
    merged = {name: fresh[name] if name in fresh else before.get(name, ()) for name in names}
    return before if merged == before else merged


def _endpoint_health(host: JsonObject) -> EndpointHealth:
    address = host["address"]["socket_address"]
    status = host.get("health_status", {})
    failing = status.get("failed_active_health_check") or status.get("pending_active_hc")
    endpoint = Endpoint(address["address"], int(address["port_value"]))
    return EndpointHealth(endpoint, healthy=not failing)
