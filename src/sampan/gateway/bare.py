"""A path without a rest, `/serving/{namespace}/{name}`: asked again as one with a slash. Pure.

Of a thousand services each would have a second route for it, a third of all that Envoy reads at a
change and keeps. One route for all adds the slash and sends the request through the front door
once more; whoever writes the slash pays nothing.
"""

from __future__ import annotations

from sampan.gateway.messages_clusters import CLUSTER_TYPE
from sampan.gateway.retries import make_retries
from sampan.gateway.settings import GatewaySettings
from sampan.machinery.registry import JsonObject

CLUSTER = "front"
"""The front door as a cluster; those of services have a slash in their names."""

_BARE = "/serving/[^/]+/[^/]+"
_NO_LIMIT = 1_000_000
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def make_bare_route() -> JsonObject:
    """Return the route that adds the slash. What it makes it does not match itself.

    The route that a request meets at its second coming bounds its silence and asks again.
    """
    rewrite = {"pattern": {"regex": f"^({_BARE})$"}, "substitution": r"\1/"}
    return {
        "match": {"safe_regex": {"regex": _BARE}},
        "route": {
            "cluster": CLUSTER,
            "regex_rewrite": rewrite,
            "timeout": "0s",
            "idle_timeout": "0s",
        },
    }


def make_front_cluster(settings: GatewaySettings) -> JsonObject:
    """Return the CDS resource of the front door. It needs no check: who asks stands in it."""
    address = {"socket_address": {"address": settings.host, "port_value": settings.port}}
    thresholds = dict.fromkeys(
        ("max_connections", "max_pending_requests", "max_requests", "max_retries"), _NO_LIMIT
    )
    return {
        "@type": CLUSTER_TYPE,
        "name": CLUSTER,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [thresholds]},
        "typed_extension_protocol_options": {
            _HTTP: {
                "@type": f"type.googleapis.com/{_HTTP}",
                "explicit_http_config": {"http_protocol_options": {}},
                "retry_policy": make_retries(1),
            }
        },
    }
