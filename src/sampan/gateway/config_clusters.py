"""Clusters with their endpoints: a table to Envoy's CDS resources. Pure.

Endpoints stand in their cluster (type STATIC), not in an EDS file each: Envoy opens one inotify
instance a watched file, a user has 128 of them, and Envoy ends when there is none left. A cluster
that changes is warmed beside its predecessor, whose requests on their way are finished.
"""

from __future__ import annotations

from sampan.gateway.messages_clusters import CLUSTER_TYPE
from sampan.gateway.retries import make_retries
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import Cluster, Endpoint
from sampan.machinery.registry import JsonObject

_HTTP_TYPE = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

# Upstream's servers close a connection that was idle for 5 s (uvicorn); whoever closes second may
# send a request into a closing connection and lose it. So Envoy closes first.
_IDLE = "4s"

# Envoy's own limits (1024) would turn a burst into 503s; queueing is the model server's decision.
_NO_LIMIT = 1_000_000


def make_cluster(cluster: Cluster, settings: GatewaySettings) -> JsonObject:
    """Return the CDS resource; endpoints in order, each once."""
    endpoints = sorted(set(cluster.endpoints))
    return {
        "@type": CLUSTER_TYPE,
        "name": cluster.name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": cluster.name,
            "endpoints": [{"lb_endpoints": [_endpoint(endpoint) for endpoint in endpoints]}],
        },
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "health_checks": [_health_check(cluster, settings)],
        # Below one percent healthy means none: then the server's own words are worth more than
        # ours, and a server that was only busy still answers.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": _NO_LIMIT,
                    "max_pending_requests": _NO_LIMIT,
                    "max_requests": _NO_LIMIT,
                    "max_retries": _NO_LIMIT,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _HTTP_TYPE,
                "common_http_protocol_options": {"idle_timeout": _IDLE},
                "explicit_http_config": _protocol(cluster),
                "retry_policy": make_retries(len(endpoints)),
            }
        },
    }


def _protocol(cluster: Cluster) -> JsonObject:
    if cluster.http2:
        return {"http2_protocol_options": {}}
    return {"http_protocol_options": {"enable_trailers": True}}


def _endpoint(endpoint: Endpoint) -> JsonObject:
    address = {"address": endpoint.host, "port_value": endpoint.port}
    return {"endpoint": {"address": {"socket_address": address}}}


def _health_check(cluster: Cluster, settings: GatewaySettings) -> JsonObject:
    interval = f"{settings.health_interval:g}s"
    check: JsonObject = {
        "timeout": f"{settings.health_timeout:g}s",
        "interval": interval,
        # Without traffic Envoy would look once a minute, and Ready would be that old.
        "no_traffic_interval": interval,
        "no_traffic_healthy_interval": interval,
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
    }
    if not cluster.health_path:
        return {**check, "tcp_health_check": {}}
    return {
        **check,
        "http_health_check": {
            "path": cluster.health_path,
            "host": "localhost",
            # What Kubernetes's HTTP probes take for success.
            "expected_statuses": [{"start": 200, "end": 400}],
            "codec_client_type": "HTTP2" if cluster.http2 else "HTTP1",
        },
    }
