"""Which routes and clusters of a table Envoy can take. Pure.

One bad service must not keep the others from being served: what cannot be taken is left out and
returned as a `Refusal`, and the rest of the table goes on.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from sampan.gateway.kept import Kept
from sampan.gateway.table import Cluster, ComponentRoute, RouteTable, Share, TableRoute

RESERVED_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts under which every service is reachable by its path; no service may claim one."""

# Envoy turns other characters into "_" in statistics, and two names would become one.
_NAME = re.compile(r"[A-Za-z0-9._/-]+")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A route or cluster that was left out, by name, and why."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class _Form:
    """What can be said of a route or cluster by itself: its mistakes, what it claims and needs."""

    mistakes: tuple[str, ...]
    claims: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """The clusters that a route names."""


class Validation:
    """Looks through tables one after another; what is as before is not looked at again."""

    def __init__(self) -> None:
        self._clusters: Kept[Cluster, _Form] = Kept(
            lambda cluster: _Form(tuple(_cluster_mistakes(cluster)))
        )
        self._routes: Kept[TableRoute, _Form] = Kept(
            lambda route: _Form(tuple(_route_mistakes(route)), _claims(route), _needs(route))
        )

    def select(self, table: RouteTable) -> tuple[RouteTable, tuple[Refusal, ...]]:
        """Return the part of the table that can be served, and what was left out of it.

        Where two claim one name, host or prefix, the first in the table keeps it.
        """
        clusters_forms = self._clusters.of(table.clusters)
        routes_forms = self._routes.of(table.routes)
        if _is_whole(table, clusters_forms, routes_forms):
            return table, ()
        refusals: list[Refusal] = []
        clusters: dict[str, Cluster] = {}
        for cluster, form in zip(table.clusters, clusters_forms, strict=True):
            if not form.mistakes and cluster.name not in clusters:
                clusters[cluster.name] = cluster
                continue
            found = [*form.mistakes, *_twice(cluster, clusters)]
            refusals += [Refusal(cluster.name, message) for message in found]
        routes: list[TableRoute] = []
        claims: dict[str, str] = {}
        for route, form in zip(table.routes, routes_forms, strict=True):
            found = [
                *form.mistakes,
                *_taken(route, form.claims, claims),
                *_missing(route, form.needs, clusters),
            ]
            if found:
                refusals += [Refusal(route.name, message) for message in found]
                continue
            routes.append(route)
            claims |= dict.fromkeys(form.claims, route.name)
        return RouteTable(tuple(routes), tuple(clusters.values())), tuple(refusals)


def _is_whole(table: RouteTable, clusters: list[_Form], routes: list[_Form]) -> bool:
    """Tell whether nothing of a table is left out: told of all at once, as it nearly always is."""
    if any([form.mistakes for form in (*clusters, *routes)]):  # noqa: C419 (a list is quicker here)
        return False
    names = {cluster.name for cluster in table.clusters}
    claims = list(chain.from_iterable([form.claims for form in routes]))
    return (
        len(names) == len(table.clusters)
        and len(set(claims)) == len(claims)
        and names.issuperset(chain.from_iterable([form.needs for form in routes]))
    )


def select_ports(
    table: RouteTable, is_free: Callable[[int], bool]
) -> tuple[RouteTable, tuple[Refusal, ...]]:
    """Return the table without the ports that somebody else has, and what was left out.

    One port that is taken would make Envoy refuse all listeners.
    """
    refusals: list[Refusal] = []
    routes = []
    for route in table.routes:
        parts = route.components
        taken = {c.port for c in parts if c.port and not is_free(c.port)} if parts else None
        if not taken:
            routes.append(route)
            continue
        refusals += [
            Refusal(
                route.name,
                f'port "{port}" of a component of "{route.name}" is taken by another program; end '
                "it, or stop the service and start it again, which takes another port",
            )
            for port in sorted(taken)
        ]
        kept = tuple(replace(c, port=0) if c.port in taken else c for c in parts)
        routes.append(replace(route, components=kept))
    return replace(table, routes=tuple(routes)), tuple(refusals)


def _claims(route: TableRoute) -> tuple[str, ...]:
    ports = (f"port {c.port}" for c in route.components if c.port)
    door = (f"port {route.door}",) if route.door else ()
    return (f"name {route.name}", f"path {route.path_prefix}", *_hosts(route), *ports, *door)


def _hosts(route: TableRoute) -> tuple[str, ...]:
    """The hosts of a service and of its components."""
    parts: tuple[TableRoute | ComponentRoute, ...] = (route, *route.components)
    tagged = (host for part in parts for tag in part.steering.tags for host in tag.hosts)
    hosts = (*(host for part in parts for host in part.hosts), *tagged)
    return tuple(host.lower() for host in hosts)


def _cluster_mistakes(cluster: Cluster) -> Iterator[str]:
    if not _NAME.fullmatch(cluster.name):
        yield f'cluster name "{cluster.name}" may only hold letters, digits and "._/-"'
    if cluster.health_path and not _PATH.fullmatch(cluster.health_path):
        yield f'health path "{cluster.health_path}" is not a URL path; start it with "/"'
    for endpoint in cluster.endpoints:
        if not _is_address(endpoint.host) or not 1 <= endpoint.port <= 65535:
            yield (
                f'endpoint "{endpoint.host}:{endpoint.port}" of cluster "{cluster.name}" is not'
                " an IP address and a port from 1 to 65535"
            )


def _twice(cluster: Cluster, seen: Mapping[str, Cluster]) -> Iterator[str]:
    if cluster.name in seen:
        yield f'cluster "{cluster.name}" is in the table twice; keep one'


def _route_mistakes(route: TableRoute) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z0-9.-]+/[A-Za-z0-9.-]+", route.name):
        yield f'route name "{route.name}" is not of the form "namespace/name"'
    if not _PATH.fullmatch(route.path_prefix) or route.path_prefix.endswith("/"):
        yield f'path prefix "{route.path_prefix}" must start with "/" and not end with it'
    for host in _hosts(route):
        if not _HOST.fullmatch(host) or host in RESERVED_HOSTS:
            yield f'host "{host}" of route "{route.name}" is reserved or not a host name'
    for shares in _all_shares(route):
        total = sum(share.weight for share in shares)
        if total != 100 or any(share.weight < 0 for share in shares):
            yield f'shares of route "{route.name}" sum to {total}; they must sum to 100'


def _taken(route: TableRoute, wanted: tuple[str, ...], claims: Mapping[str, str]) -> Iterator[str]:
    for claim in wanted:
        if claim in claims:
            yield f'"{claim}" of route "{route.name}" is already taken by "{claims[claim]}"'


def _needs(route: TableRoute) -> tuple[str, ...]:
    return tuple(share.cluster for shares in _all_shares(route) for share in shares)


def _missing(
    route: TableRoute, needs: tuple[str, ...], clusters: Mapping[str, Cluster]
) -> Iterator[str]:
    for name in needs:
        if name not in clusters:
            yield (
                f'route "{route.name}" names cluster "{name}", which is not in the table or was'
                " left out"
            )


def _all_shares(route: TableRoute) -> Iterator[tuple[Share, ...]]:
    """Yield the shares of the service and of its components, of REST and of gRPC requests."""
    parts: tuple[TableRoute | ComponentRoute, ...] = (route, *route.components)
    for part in parts:
        yield from filter(None, (part.shares, part.grpc_shares))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
