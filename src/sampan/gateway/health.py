"""What Envoy knows of its endpoints' health, read from its admin interface's answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
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


_OWN = frozenset({held.CLUSTER, bare.CLUSTER})
"""Clusters of the gateway itself, which serve no model."""
_MOST_NAMED = 50
"""Clusters that are asked for by name; of more, all are."""
_GAUGE = r"cluster\.(.*)\.membership_(healthy|total)"
_LINE = re.compile(rf"{_GAUGE}: (\d+)".encode())

MEMBERS_PATH = f"/stats?type=Gauges&filter={quote(f'^{_GAUGE}$', safe='')}"
"""Where Envoy tells how many members each cluster has, a line a number: a twentieth of what it says
of each."""

Health: TypeAlias = Mapping[str, tuple[EndpointHealth, ...]]
"""By cluster name; a cluster without endpoints has an empty tuple."""


def make_health(clusters: JsonObject) -> Health:
    """Return the health in the answer of Envoy's `/clusters?format=json`."""
    return {
        status["name"]: tuple(_endpoint_health(host) for host in status.get("host_statuses", ()))
        for status in clusters.get("cluster_statuses", ())
        if status["name"] not in _OWN
    }


def make_members(before: Mapping[str, Members], told: bytes, now: bytes) -> dict[str, Members]:
    """Return how many members each cluster has: `before`, and what `now` says else than `told`.

    Both are answers of `MEMBERS_PATH`. Of two thousand clusters only lines that differ are read.
    """
    old, new = frozenset(told.splitlines()), frozenset(now.splitlines())
    fresh = _read_gauges(new - old)
    members = dict(before)
    for name, _ in _read_gauges(old - new).keys() - fresh.keys():
        members.pop(name, None)
    for (name, what), count in fresh.items():
        members[name] = replace(members.get(name, Members()), **{what: count})
    return members


def _read_gauges(lines: Iterable[bytes]) -> dict[tuple[str, str], int]:
    """Return the numbers of lines by cluster and by field of `Members`."""
    found = (line.groups() for line in map(_LINE.fullmatch, lines) if line)
    read = {(name.decode(), what.decode()): int(count) for name, what, count in found}
    return {where: count for where, count in read.items() if where[0] not in _OWN}


def select_unclear(before: Mapping[str, Members], now: Mapping[str, Members]) -> frozenset[str]:
    """Return the clusters that must be asked for, as their numbers alone do not tell all.

    Where some members are healthy and some not, two may change places unseen.
    """
    known = before.get
    # Nearly all are the very same values: to compare them as values would cost more than to read.
    return frozenset(
        name
        for name, told in now.items()
        if 0 < told.healthy < told.total or (known(name) is not told and known(name) != told)
    )


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
