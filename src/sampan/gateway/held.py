"""How a route is held: Envoy asks the activator about each of its requests, and keeps them. Pure.

The filter is there for every route and off (a warm request never meets it); a share that is held
turns it on for itself and says in the check's context for which workload it is asked.
"""

from __future__ import annotations

from sampan.gateway.table import Share
from sampan.machinery.registry import JsonObject

FILTER = "envoy.filters.http.ext_authz"
CLUSTER = "sampan/activator"
SOCKET = "hold.sock"
WORKLOAD_KEY, TIMEOUT_KEY = "workload", "timeout"
"""What the context of a check names: whose request it is, and how many seconds it may wait."""

TRACE_HEADER = "traceparent"
"""Which trace a request belongs to (W3C Trace Context); the wait of a cold start is part of it."""

HOLD_SECONDS = 300
"""How long a request is held where its route gives no timeout (Knative's timeoutSeconds)."""

UNANSWERED = 511
"""Stands for a check that was not answered until the listener words it (no server of models says
"Network Authentication Required")."""

_TYPES = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3"
_HTTP_TYPE = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_NO_LIMIT = 1_000_000
_ASK_AGAIN = {
    "retry_on": "connect-failure,reset,unavailable,cancelled",
    "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
}
"""What becomes of a check when the activator dies: the next one is asked."""
ASKS = 80
"""How often it is asked, for some twenty seconds: a daemon is up again in two, on a busy machine in
ten; without one, nobody is kept for ever."""
ASKS_BESIDE = 480
"""The same for one that a kubelet starts again, for some two minutes: the second time in a row it
waits for ten seconds, then for twenty, then for forty."""
_NEVER = "86400s"  # the activator's own timeouts end a wait


def make_filter() -> JsonObject:
    """Return the HTTP filter, off until a route turns it on."""
    return {
        "name": FILTER,
        "disabled": True,
        "typed_config": {
            "@type": f"{_TYPES}.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": {
                "envoy_grpc": {"cluster_name": CLUSTER, "skip_envoy_headers": True},
                "timeout": _NEVER,
            },
            # Whose request it is matters and not what it holds: no secret of a client's header
            # leaves Envoy.
            "allowed_headers": {"patterns": [{"exact": "x-request-id"}, {"exact": TRACE_HEADER}]},
            "status_on_error": {"code": UNANSWERED},
        },
    }


def make_hold(share: Share, timeout_seconds: int | None) -> JsonObject:
    """Return what a held share adds to its place in a route."""
    timeout = HOLD_SECONDS if timeout_seconds is None else timeout_seconds
    context = {WORKLOAD_KEY: share.held, TIMEOUT_KEY: str(timeout or _NEVER[:-1])}
    hold = {
        "@type": f"{_TYPES}.ExtAuthzPerRoute",
        "check_settings": {"context_extensions": context},
    }
    return {"typed_per_filter_config": {FILTER: hold}}


def make_activator_cluster(folder: str, asks: int = ASKS) -> JsonObject:
    """Return the cluster that the checks go to: the activator's socket in the gateway's folder. It
    is asked so often while it does not answer.
    """
    address = {"pipe": {"path": f"{folder}/{SOCKET}"}}
    thresholds = dict.fromkeys(
        ("max_connections", "max_pending_requests", "max_requests", "max_retries"), _NO_LIMIT
    )
    return {
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "circuit_breakers": {"thresholds": [thresholds]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _HTTP_TYPE,
                "explicit_http_config": {"http2_protocol_options": {}},
                "retry_policy": {**_ASK_AGAIN, "num_retries": asks},
            }
        },
    }
