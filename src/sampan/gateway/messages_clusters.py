"""The fields of Envoy's clusters that are used here, by their numbers. Data.

Source: Envoy's API v3, `envoy/config/cluster/v3`, `endpoint/v3`, `core/v3`, `route/v3` and
`envoy/extensions/upstreams/http/v3`. A field that a cluster is given has a row here; tests have
Envoy read both forms and compare.
"""

from __future__ import annotations

from sampan.gateway.binary import (
    DOUBLE,
    DURATION,
    EMPTY,
    FLAG,
    NUMBER,
    OPTIONAL_NUMBER,
    TEXT,
    Kind,
    make_any,
    make_choice,
    make_map,
    make_message,
)
from sampan.gateway.retries import PREVIOUS_HOSTS

_TYPES = "type.googleapis.com/envoy"
CLUSTER_TYPE = f"{_TYPES}.config.cluster.v3.Cluster"

CLUSTER_MESSAGES: dict[str, Kind] = {}
"""The resource, and what stands in it where any message may, by type URL."""
_ANY = make_any(CLUSTER_MESSAGES)

_ADDRESS = make_message(
    "Address",
    {
        "socket_address": (
            1,
            make_message("SocketAddress", {"address": (2, TEXT), "port_value": (3, NUMBER)}),
        )
    },
)
_LB_ENDPOINT = make_message(
    "LbEndpoint", {"endpoint": (1, make_message("Endpoint", {"address": (1, _ADDRESS)}))}
)
_ASSIGNMENT = make_message(
    "ClusterLoadAssignment",
    {
        "cluster_name": (1, TEXT),
        "endpoints": (
            2,
            make_message("LocalityLbEndpoints", {"lb_endpoints": (2, _LB_ENDPOINT)}),
        ),
    },
)
_RANGE = make_message("Int64Range", {"start": (1, NUMBER), "end": (2, NUMBER)})
_HTTP_CHECK = make_message(
    "HttpHealthCheck",
    {
        "host": (1, TEXT),
        "path": (2, TEXT),
        "expected_statuses": (9, _RANGE),
        "codec_client_type": (10, make_choice(HTTP1=0, HTTP2=1)),
    },
)
_HEALTH_CHECK = make_message(
    "HealthCheck",
    {
        "timeout": (1, DURATION),
        "interval": (2, DURATION),
        "unhealthy_threshold": (4, OPTIONAL_NUMBER),
        "healthy_threshold": (5, OPTIONAL_NUMBER),
        "http_health_check": (8, _HTTP_CHECK),
        "tcp_health_check": (9, EMPTY),
        "no_traffic_interval": (12, DURATION),
        "no_traffic_healthy_interval": (24, DURATION),
    },
)
_COMMON_LB = make_message(
    "CommonLbConfig",
    {"healthy_panic_threshold": (1, make_message("Percent", {"value": (1, DOUBLE)}))},
)
_THRESHOLDS = make_message(
    "Thresholds",
    {
        "max_connections": (2, OPTIONAL_NUMBER),
        "max_pending_requests": (3, OPTIONAL_NUMBER),
        "max_requests": (4, OPTIONAL_NUMBER),
        "max_retries": (5, OPTIONAL_NUMBER),
    },
)
_EXPLICIT = make_message(
    "ExplicitHttpConfig",
    {
        "http_protocol_options": (
            1,
            make_message("Http1ProtocolOptions", {"enable_trailers": (5, FLAG)}),
        ),
        "http2_protocol_options": (2, EMPTY),
    },
)
CLUSTER_MESSAGES[CLUSTER_TYPE] = make_message(
    "Cluster",
    {
        "name": (1, TEXT),
        "type": (2, make_choice(STATIC=0)),
        "connect_timeout": (4, DURATION),
        "per_connection_buffer_limit_bytes": (5, OPTIONAL_NUMBER),
        "lb_policy": (6, make_choice(ROUND_ROBIN=0, LEAST_REQUEST=1, RING_HASH=2, MAGLEV=5)),
        "health_checks": (8, _HEALTH_CHECK),
        "circuit_breakers": (
            10,
            make_message("CircuitBreakers", {"thresholds": (1, _THRESHOLDS)}),
        ),
        "common_lb_config": (27, _COMMON_LB),
        "load_assignment": (33, _ASSIGNMENT),
        "typed_extension_protocol_options": (36, make_map(_ANY)),
    },
)
_RETRY = make_message(
    "RetryPolicy",
    {
        "retry_on": (1, TEXT),
        "num_retries": (2, OPTIONAL_NUMBER),
        "retry_host_predicate": (
            5,
            make_message("RetryHostPredicate", {"name": (1, TEXT), "typed_config": (3, _ANY)}),
        ),
        "host_selection_retry_max_attempts": (6, NUMBER),
        "retry_back_off": (
            8,
            make_message(
                "RetryBackOff", {"base_interval": (1, DURATION), "max_interval": (2, DURATION)}
            ),
        ),
    },
)
CLUSTER_MESSAGES[PREVIOUS_HOSTS] = EMPTY
CLUSTER_MESSAGES[f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions"] = make_message(
    "HttpProtocolOptions",
    {
        "common_http_protocol_options": (
            1,
            make_message("CommonHttpProtocolOptions", {"idle_timeout": (1, DURATION)}),
        ),
        "explicit_http_config": (3, _EXPLICIT),
        "retry_policy": (11, _RETRY),
    },
)
