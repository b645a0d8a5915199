"""`limits.md`: every limit that a user can meet, from the values that enforce it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from sampan.api import data_keys, yamlfile
from sampan.apiserver import connection, listener, options
from sampan.gateway.settings import GatewaySettings
from sampan.machinery.object_meta import MAX_DEPTH
from sampan.machinery.patch.json_patch import MAX_COPIED, MAX_OPERATIONS
from sampan.machinery.store_memory import DEFAULT_LIMITS
from sampan.platforms.local.exits import MAX_TERMINATION_MESSAGE
from sampan.platforms.local.expansion import MAX_GROWN, MAX_VALUE
from sampan.platforms.local.logs import LogLimits
from sampan.platforms.local.publishing import VERIFY_AGAIN_SECONDS
from sampan.router.shape import MOST_CALLS, MOST_NODES_DEEP
from sampan.storage.base import FetchOptions
from sampan.wire.limits import Limits
from sampan.wire.upstream_answer import UpstreamLimits
from tools.reference.markdown import page, section, table

_INTRODUCTION = (
    "Crossing a limit gets an answer that names it, or a closed connection, never a hang."
)

# What a limit means, where what stands beside it in the source is not for users.
_WIRE = {
    "header_bytes": "request line and headers together; more is 431",
    "header_count": "headers of one request; more is 431",
    "body_bytes": "body of one request (`--max_body_bytes`); more is 413",
    "pipelining": "requests read ahead of the one being answered; then reading pauses",
    "connections": "open connections; further ones wait or are closed",
    "idle_seconds": "a connection without a request (`--timeout-keep-alive`)",
    "header_seconds": "from the first byte of a request to the end of its headers; then 408",
    "body_seconds": "for a body, besides the time that `body_rate` allows; then 408",
    "body_rate": "slowest upload, in bytes a second, once `body_seconds` are over",
    "write_seconds": "a client that stops reading its answer",
    "linger_seconds": "reading on after a refusal, so that the client sees the answer",
    "write_buffer": "unsent bytes above which no further request of a connection is taken",
    "streams": "HTTP/2: requests open at once on a connection; more are refused, to be sent again",
    "window": "HTTP/2: bytes of a request sent ahead of our reading; more resets the request",
    "connection_window": "HTTP/2: the same of a connection; more ends it",
    "connection_bytes": "HTTP/2: unfinished bodies of a connection together; more is 503",
    "continuations": "HTTP/2: CONTINUATION frames of one header block; more ends the connection",
    "resets": "HTTP/2: requests opened and reset in a second (CVE-2023-44487); more ends the "
    "connection",
    "nuisances": "HTTP/2: PING, SETTINGS and frames without a request in a second; more ends the "
    "connection",
    "http2_idle_seconds": "HTTP/2: a connection without a request; then GOAWAY",
    "message_bytes": "one gRPC message, unpacked (`--grpc_max_receive_message_length`, "
    "`--grpc_max_send_message_length`); more is RESOURCE_EXHAUSTED",
}
_STORAGE = {
    "connect_seconds": "to reach a source",
    "stall_seconds": "without a byte",
    "attempts": "tries of one download, resumed where the source can",
    "max_bytes": "a download, and what an archive unpacks to",
    "max_files": "members of an archive",
    "max_ratio": "times its own size that an archive may unpack to",
    "reserve_bytes": "of the disk that stay free after a download",
}
_STEPS = {
    "header_bytes": "head of a step's answer; more is 500",
    "body_bytes": "body of a request, and of a step's answer that is not streamed "
    "(`--max-body-bytes`); more is 413, and 500",
    "connect_seconds": "to reach a step; then 500",
    "idle_seconds": "a connection to a step between two calls",
    "connections": "connections to one origin; further calls wait for one of them",
}
_GATEWAY = {
    "timeout_seconds": "of silence in either direction, for a service without `timeout`",
    "health_interval": "seconds between two health checks of a replica",
    "health_timeout": "seconds for the answer to a health check",
}


def render() -> str:
    """Return the page."""
    return page(
        "Limits",
        _INTRODUCTION,
        _section("Requests to a model server", _WIRE, Limits),
        _graph_section(),
        _section("Fetching models", _STORAGE, FetchOptions),
        _section("The gateway", _GATEWAY, GatewaySettings),
        section("The API server and the store", table(("limit", "of"), _api())),
        section("Replicas", table(("limit", "of"), _replicas())),
    )


def _section(title: str, meanings: Mapping[str, str], kind: type[Any]) -> str:
    known = {**_remarks(kind), **meanings}
    limits = [f for f in fields(kind) if _is_limit(f, kind)]
    rows = [(_shown(f.name, f.default), known.get(f.name, f.name)) for f in limits]
    return section(title, table(("limit", "of"), rows))


def _graph_section() -> str:
    rows = [(_shown(f.name, f.default), _STEPS[f.name]) for f in fields(UpstreamLimits)]
    rows += [
        (f"{MOST_CALLS:,}", "calls that one request can make; more is refused when it is applied"),
        (f"{MOST_NODES_DEEP}", "levels of nodes; more is refused when it is applied"),
    ]
    return section("Graphs", table(("limit", "of"), rows))


def _remarks(kind: type[Any]) -> dict[str, str]:
    """Return what the source says beside a field: `name: type = value  # remark`."""
    found = re.findall(r"^    (\w+): .*?  # (.*)$", inspect.getsource(kind), re.MULTILINE)
    return {name: f"{name.replace('_', ' ')}: {remark}" for name, remark in found}


def _is_limit(field: Field[Any], kind: type[Any]) -> bool:
    """Tell whether a field limits: those with a meaning of the gateway, else every number."""
    if kind is GatewaySettings:
        return field.name in _GATEWAY
    number = isinstance(field.default, int | float) and not isinstance(field.default, bool)
    return field.default is not MISSING and number


def _api() -> list[tuple[str, str]]:
    return [
        (_bytes(connection.MAX_BODY), "body of a request"),
        (_bytes(connection.MAX_HEAD), "request line and headers"),
        (f"{connection.REQUEST_SECONDS:g} s", "from the first byte of a request to its last"),
        (f"{connection.IDLE_SECONDS:g} s", "a connection between two requests"),
        (f"{listener.MAX_CONNECTIONS}", "open connections"),
        (_bytes(data_keys.MAX_BYTES), "data of a ConfigMap or Secret"),
        (f"{MAX_DEPTH}", "levels of an object"),
        (f"{yamlfile.MAX_NODES:,}", "nodes of a YAML file, aliases counted each time"),
        (f"{yamlfile.MAX_DEPTH}", "levels of a YAML file"),
        (f"{MAX_OPERATIONS:,}", "operations of a JSON patch"),
        (_bytes(MAX_COPIED), "what all `copy` of a JSON patch take together"),
        (f"{options.MAX_FIELD_MANAGER}", "letters of a field manager's name"),
        (f"{DEFAULT_LIMITS.events:,}", "changes kept for watches; an older one gets 410"),
    ]


def _replicas() -> list[tuple[str, str]]:
    logs = LogLimits()
    return [
        (_bytes(logs.max_bytes), "one file of a log"),
        (f"{logs.max_files}", "files of a log; the oldest goes first"),
        (_bytes(MAX_TERMINATION_MESSAGE), "a termination message"),
        (_bytes(MAX_VALUE), "a variable or argument whose `$(NAME)` are replaced"),
        (_bytes(MAX_GROWN), "what such references add to an environment"),
        (f"{VERIFY_AGAIN_SECONDS:g} s", "between two real requests that check a route"),
    ]


def _shown(name: str, value: float) -> str:
    if name.endswith("seconds") or name in {"health_interval", "health_timeout"}:
        return f"{value:g} s"
    return (
        _bytes(int(value))
        if "bytes" in name or "buffer" in name or "window" in name or name == "body_rate"
        else f"{value:,g}"
    )


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} B"
