"""An Envoy as it is by itself, with one static route: the peer of our gateway. A JSON bootstrap."""

from __future__ import annotations

from typing import Any

_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def static_route(port: int, backend: int) -> dict[str, Any]:
    """Return an Envoy that hands everything to one backend on loopback."""
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(backend)}}]}],
        },
    }
    return _bootstrap(port, {"route": {"cluster": "backend"}}, cluster)


def _bootstrap(port: int, action: dict[str, Any], *clusters: dict[str, Any]) -> dict[str, Any]:
    routes = {
        "virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}
        ]
    }
    manager = {
        "@type": f"{_HTTP}.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": routes,
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    listener = {"name": "bench", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": list(clusters)}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
