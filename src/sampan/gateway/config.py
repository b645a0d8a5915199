"""Envoy's whole configuration as values: what each file holds, and its version. Pure.

Envoy watches files (xDS over the file system) and takes each when it is moved into place. A
version is the hash of what it names: the same table rendered twice is the same files, and a new
daemon that applies what already runs changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson

from sampan.gateway.config_listener import (
    FRONT,
    make_component_listener,
    make_door_listener,
    make_listener,
)
from sampan.gateway.config_routes import ROUTES, make_component_host
from sampan.gateway.doors import make_door_name
from sampan.gateway.grpc_counts import GRPC_STATS
from sampan.gateway.held import ASKS, make_activator_cluster
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import RouteTable
from sampan.machinery.registry import JsonObject

BOOTSTRAP = "bootstrap.json"
ADMIN = "admin.sock"
ACCESS_LOG = "access.log"
LISTENERS_FILE = "listeners.json"
# Envoy tells by the ending that these are bytes of Protocol Buffers.
ROUTES_FILE = "routes.pb"
CLUSTERS_FILE = "clusters.pb"

_CLUSTER_STATS = (
    "upstream_rq_(active|pending_active|total|timeout|[1-5]xx)|upstream_cx_active"
    "|membership_(healthy|total)|version_text"
)
"""What is counted of each cluster. All that Envoy knows to count takes 30 KB more a cluster."""
_TIMED = r"cluster\..*-\d{5}(/grpc)?\.upstream_rq_time"
"""How long answers take is kept of revisions that share traffic alone, whose names are numbered."""
_OTHER_STATS = ("cluster_manager.", "http.", "listener.", "listener_manager.", "server.")
_MONITOR = "envoy.resource_monitors.global_downstream_max_connections"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file that Envoy watches.

    `path` is relative to the gateway's folder; `stat` is the statistic in which Envoy tells the
    version it has taken.
    """

    path: str
    version: str
    stat: str
    body: bytes


def render_bootstrap(folder: str, asks: int = ASKS) -> bytes:
    """Return what Envoy starts with: who it is, its admin socket, and where its files are. `asks`:
    how often an activator that does not answer is asked (`held`).
    """
    downstream = "envoy.extensions.resource_monitors.downstream_connections.v3"
    monitor = {
        "name": _MONITOR,
        "typed_config": {
            "@type": f"type.googleapis.com/{downstream}.DownstreamConnectionsConfig",
            "max_active_downstream_connections": 20_000,
        },
    }
    bootstrap: JsonObject = {
        "node": {"id": "sampan", "cluster": "sampan"},
        # A socket in a folder of the user's own, never a port: who can reach the admin interface
        # can stop Envoy.
        "admin": {"address": {"pipe": {"path": f"{folder}/{ADMIN}", "mode": 0o600}}},
        "static_resources": {"clusters": [make_activator_cluster(folder, asks)]},
        # A worker makes what it needs of a cluster when it first asks it: of a thousand, few.
        "cluster_manager": {"enable_deferred_cluster_creation": True},
        "dynamic_resources": {
            "lds_config": _source(folder, LISTENERS_FILE),
            "cds_config": _source(folder, CLUSTERS_FILE),
        },
        # Nobody is sent statistics; working them out each 5 s would only keep an idle CPU awake.
        "stats_flush_on_admin": True,
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _make_patterns()}}},
        "overload_manager": {"resource_monitors": [monitor]},
    }
    return orjson.dumps(bootstrap, option=orjson.OPT_INDENT_2)


def _make_patterns() -> list[JsonObject]:
    """Return which statistics Envoy keeps."""
    clusters = {"safe_regex": {"regex": rf"cluster\..*\.({_CLUSTER_STATS})"}}
    timed = {"safe_regex": {"regex": _TIMED}}
    calls = {"safe_regex": {"regex": GRPC_STATS}}
    return [clusters, timed, calls, *({"prefix": prefix} for prefix in _OTHER_STATS)]


@dataclass(frozen=True, slots=True)
class Doors:
    """What the gateway listens on besides the settings' own address.

    `also` are further addresses of the front door, `components` the listeners of components, and
    those of routes with a door.
    """

    also: tuple[str, ...] = ()
    components: tuple[JsonObject, ...] = ()


def render_listeners(settings: GatewaySettings, folder: str, doors: Doors = Doors()) -> ConfigFile:
    """Return the LDS file."""
    access_log = f"{folder}/{ACCESS_LOG}" if settings.access_log else ""
    listener = make_listener(settings, doors.also, _make_rds(folder), access_log)
    made = [listener, *doors.components]
    version = make_version(orjson.dumps(made, option=orjson.OPT_SORT_KEYS))
    body = orjson.dumps({"version_info": version, "resources": made})
    return ConfigFile(LISTENERS_FILE, version, "listener_manager.lds.version_text", body)


def make_component_listeners(
    table: RouteTable, settings: GatewaySettings
) -> tuple[JsonObject, ...]:
    """Return the listener of each component that has a port."""
    return tuple(
        make_component_listener(
            settings.host,
            component.port,
            make_component_host(route, component, ("*",), settings),
        )
        for route in table.routes
        for component in route.components
        if component.port
    )


def make_door_listeners(
    table: RouteTable, settings: GatewaySettings, folder: str
) -> tuple[JsonObject, ...]:
    """Return the listener of each route that has a door: it stays as it is while routes change."""
    return tuple(
        make_door_listener(settings.door_host, route.door, make_door_name(route), _make_rds(folder))
        for route in table.routes
        if route.door and settings.door_host
    )


def _make_rds(folder: str) -> JsonObject:
    return {"route_config_name": ROUTES, "config_source": _source(folder, ROUTES_FILE)}


def is_front(listener: JsonObject) -> bool:
    """Return whether a listener is the front door."""
    return bool(listener["name"] == FRONT)


def _source(folder: str, path: str) -> JsonObject:
    return {
        "path_config_source": {"path": f"{folder}/{path}"},
        "resource_api_version": "V3",
    }


def make_version(content: bytes) -> str:
    """Return the version of what a file names."""
    return hashlib.sha256(content).hexdigest()[:16]
