"""Tables to the files of routes and clusters, in Envoy's own bytes. Pure but for what is kept.

A table of a thousand services of which one has changed is rendered by what that one costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sampan.gateway import bare
from sampan.gateway.binary import (
    Field,
    encode_field,
    encode_resource,
    encode_response_resource,
    encode_version,
    wrap,
    wrap_response_resource,
)
from sampan.gateway.config import CLUSTERS_FILE, ROUTES_FILE, ConfigFile, make_version
from sampan.gateway.config_clusters import make_cluster
from sampan.gateway.config_listener import STAT_PREFIX
from sampan.gateway.config_routes import ROUTES, make_frame, make_hosts, make_last, make_paths
from sampan.gateway.kept import Kept
from sampan.gateway.messages_clusters import CLUSTER_MESSAGES
from sampan.gateway.messages_routes import (
    HOSTS_FIELD,
    ROUTE_MESSAGES,
    ROUTES_FIELD,
    ROUTES_TYPE,
)
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import Cluster, RouteTable, TableRoute
from sampan.machinery.registry import JsonObject

_ROUTES_STAT = f"http.{STAT_PREFIX}.rds.{ROUTES}.version_text"
_CLUSTERS_STAT = "cluster_manager.cds.version_text"


@dataclass(frozen=True, slots=True)
class _Part:
    """What a service has of the routes: its virtual hosts, and its routes among the paths."""

    hosts: Field
    paths: Field


class Rendering:
    """Renders tables one after another by the same settings.

    What comes out depends on the table alone; what of it was there before is not made again.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._doors = bool(settings.door_host)
        self._routes: Kept[TableRoute, _Part] = Kept(lambda route: _encode_route(route, settings))
        self._clusters: Kept[Cluster, Field] = Kept(
            lambda one: encode_response_resource(make_cluster(one, settings), CLUSTER_MESSAGES)
        )
        front = bare.make_front_cluster(settings)
        self._front = encode_response_resource(front, CLUSTER_MESSAGES)

    def routes(self, table: RouteTable, *, starting: bool = False) -> ConfigFile:
        """Return the RDS file. `starting`: answer 503, not 404, where no route matches."""
        parts = self._routes.of(table.routes)
        last = make_last(table.routes, starting=starting)
        pieces = _join_frame(make_frame((), (), last, doors=self._doors), parts)
        body = b"".join(wrap_response_resource(ROUTES_TYPE, pieces))
        return _make_file(ROUTES_FILE, _ROUTES_STAT, body)

    def clusters(self, table: RouteTable) -> Mapping[str, Field]:
        """Return the table's clusters by name and the gateway's own, for `make_clusters_file`."""
        names = (cluster.name for cluster in table.clusters)
        made = zip(names, self._clusters.of(table.clusters), strict=True)
        return {**dict(made), bare.CLUSTER: self._front}


def make_clusters_file(
    clusters: Mapping[str, Field], keep: Mapping[str, Field] | None = None
) -> ConfigFile:
    """Return the CDS file: the clusters, then those of `keep` that they lack.

    `keep` are those of an earlier table: they stay until no route names them.
    """
    kept = (field for name, field in (keep or {}).items() if name not in clusters)
    return _make_file(CLUSTERS_FILE, _CLUSTERS_STAT, b"".join((*clusters.values(), *kept)))


def _join_frame(frame: JsonObject, parts: Sequence[_Part]) -> list[bytes]:
    """Return the pieces of a RouteConfiguration: its frame and what each service has of it."""
    by_path, *others = frame.pop("virtual_hosts")
    behind = encode_field(*ROUTES_FIELD, by_path.pop("routes"))
    number, host = HOSTS_FIELD
    paths = [host.encode(by_path), *(part.paths for part in parts), behind]
    hosts = [part.hosts for part in parts]
    after = encode_field(number, host, others)
    return [encode_resource(frame, ROUTE_MESSAGES), *hosts, *wrap(number, paths), after]


def _encode_route(route: TableRoute, settings: GatewaySettings) -> _Part:
    hosts = encode_field(*HOSTS_FIELD, make_hosts(route, settings))
    paths = encode_field(*ROUTES_FIELD, make_paths(route, settings))
    return _Part(Field(hosts), Field(paths))


def _make_file(path: str, stat: str, resources: bytes) -> ConfigFile:
    version = make_version(resources)
    return ConfigFile(path, version, stat, encode_version(version) + resources)
