"""The listeners: settings to Envoy's LDS resources. Pure.

The front door changes only with the settings: a listener that changes drains its connections. That
of a component changes with its shares.
"""

from __future__ import annotations

from sampan.gateway.doors import make_door_mark
from sampan.gateway.grpc_counts import make_grpc_counts
from sampan.gateway.held import UNANSWERED, make_filter
from sampan.gateway.settings import GatewaySettings
from sampan.machinery.registry import JsonObject

LISTENER_TYPE = "type.googleapis.com/envoy.config.listener.v3.Listener"
STAT_PREFIX = "gateway"
FRONT = "front"
"""The listener of the front door; any other is a component's."""

_FILTERS = "type.googleapis.com/envoy.extensions.filters"
_MANAGER = f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"
_ASKED = '"%REQ(:METHOD)% %PATH(NQ:ORIG_OR_PATH)%"'


def make_listener(
    settings: GatewaySettings, also: tuple[str, ...], routes: JsonObject, access_log: str
) -> JsonObject:
    """Return the front door.

    `also` are further addresses to listen on, `routes` is the RDS source, `access_log` a file, or
    empty for none.
    """
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": _make_manager({"rds": routes}, STAT_PREFIX, access_log),
    }
    return {
        **_make_socket(FRONT, settings.host, settings.port, manager),
        "additional_addresses": [{"address": _address(host, settings.port)} for host in also],
    }


def make_component_listener(host: str, port: int, virtual_host: JsonObject) -> JsonObject:
    """Return the address of a component for the service's other components.

    Its routes (`virtual_host`, of every domain) stand in it, so that whatever host a request names,
    it goes nowhere else: one that a transformer forwards with the headers of its own must not come
    back to the transformer.
    """
    name = virtual_host["name"]
    config = {"name": name, "virtual_hosts": [virtual_host]}
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": _make_manager({"route_config": config}, "components", ""),
    }
    return _make_socket(name, host, port, manager)


def make_door_listener(host: str, port: int, name: str, routes: JsonObject) -> JsonObject:
    """Return the door of a route: each request is marked as asked there; `routes` is the RDS
    source of all, so that a route that changes ends no connection.
    """
    config = _make_manager({"rds": routes}, STAT_PREFIX, "") | make_door_mark(name)
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}
    return _make_socket(f"door {name}", host, port, manager)


def _make_socket(name: str, host: str, port: int, manager: JsonObject) -> JsonObject:
    return {
        "@type": LISTENER_TYPE,
        "name": name,
        "address": _address(host, port),
        # One owner: with a shared port the kernel would hand some requests to whoever else
        # opened it the same way, in silence.
        "enable_reuse_port": False,
        "connection_balance_config": {"exact_balance": {}},
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "filter_chains": [{"filters": [manager]}],
    }


def _address(host: str, port: int) -> JsonObject:
    return {"socket_address": {"address": host, "port_value": port}}


def _make_manager(routes: JsonObject, stat_prefix: str, access_log: str) -> JsonObject:
    return {
        "@type": _MANAGER,
        "stat_prefix": stat_prefix,
        "codec_type": "AUTO",
        **routes,
        "http_filters": [
            make_filter(),
            make_grpc_counts(),
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_FILTERS}.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            },
        ],
        "http_protocol_options": {"accept_http_10": True, "enable_trailers": True},
        "common_http_protocol_options": {"idle_timeout": "300s"},
        "request_headers_timeout": "10s",
        # No header of a client may steer Envoy: no address counts as internal.
        "use_remote_address": True,
        "internal_address_config": {"unix_sockets": False},
        "normalize_path": True,
        "server_header_transformation": "PASS_THROUGH",
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "local_reply_config": _make_replies(),
        **({"access_log": [_make_access_log(access_log)]} if access_log else {}),
    }


def _make_replies() -> JsonObject:
    """Return how Envoy words its own answers: KServe's V1 error body, with what was asked.

    Flags as in Envoy's "Response flags": UH none healthy, UF connection refused, UO overflow, NC
    cluster gone; UC and UR cut by the server; UT and SI too long without a byte.
    """
    return {
        "mappers": [
            _reply(
                ["UH", "UF", "UO", "NC", "URX"],
                f'no endpoint of the service takes {_ASKED} for host "%REQ(:AUTHORITY)%" now; try'
                ' again, or ask "sampan why" for the reason',
                retry_after=True,
            ),
            _reply(
                ["UC", "UR", "LR"],
                f"the server ended the connection before it had answered {_ASKED}; its last log"
                ' lines ("sampan logs") may tell why',
            ),
            _reply(
                ["UT", "SI"],
                f"nothing came for {_ASKED} within the timeout of the service; a longer one is"
                ' set by "timeout" of its component',
            ),
            _make_unanswered(),
        ],
        "body_format": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}},
    }


def _make_unanswered() -> JsonObject:
    """Return how a check is worded that the activator did not answer: 503, for it comes back."""
    error = (
        f"the service of {_ASKED} sleeps, and who would wake it does not answer; the platform may"
        ' be starting again: try again in a second, or look at "sampan doctor"'
    )
    compare = {"op": "EQ", "value": {"default_value": UNANSWERED, "runtime_key": "unused"}}
    return {
        "filter": {
            "and_filter": {
                "filters": [
                    {"response_flag_filter": {"flags": ["UAEX"]}},
                    {"status_code_filter": {"comparison": compare}},
                ]
            }
        },
        "status_code": 503,
        "body_format_override": {"json_format": {"error": error}},
        "headers_to_add": [{"header": {"key": "retry-after", "value": "1"}}],
    }


def _reply(flags: list[str], error: str, *, retry_after: bool = False) -> JsonObject:
    reply: JsonObject = {
        "filter": {"response_flag_filter": {"flags": flags}},
        "body_format_override": {"json_format": {"error": error}},
    }
    if retry_after:
        header = {"key": "retry-after", "value": "1"}
        reply["headers_to_add"] = [{"header": header}]
    return reply


def _make_access_log(path: str) -> JsonObject:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
        },
    }
