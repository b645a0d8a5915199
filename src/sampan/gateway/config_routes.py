"""Routes: a table to Envoy's RouteConfiguration (RDS). Pure.

A service is rendered by itself (`make_hosts`, `make_paths`), so that what has not changed need not
be rendered again; `make_frame` joins them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sampan.gateway.bare import make_bare_route
from sampan.gateway.binary import Field
from sampan.gateway.config_steering import (
    is_given,
    make_cookie,
    make_stays,
    make_steering,
    make_tag_matches,
    select_tagged,
)
from sampan.gateway.doors import make_door_name, make_frame_of_doors
from sampan.gateway.held import HOLD_SECONDS, make_hold
from sampan.gateway.messages_routes import ROUTES_TYPE
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import ComponentRoute, RouteTable, Share, Steering, TableRoute, Tag
from sampan.gateway.validation import RESERVED_HOSTS
from sampan.machinery.registry import JsonObject

ROUTES = "routes"

# Long enough for any explanation; Envoy refuses a whole table for one body above its limit.
_BODY_LIMIT = 16 * 1024
_NAMES_SHOWN = 20
_EXPLAIN = r"/v1/models/[\w-]+:explain"


def make_routes(table: RouteTable, settings: GatewaySettings, *, starting: bool) -> JsonObject:
    """Return the RouteConfiguration of a valid table.

    `starting`: the table is not known yet, and whatever no route takes is answered 503, not 404.
    """
    hosts = [host for route in table.routes for host in make_hosts(route, settings)]
    paths = [entry for route in table.routes for entry in make_paths(route, settings)]
    last = make_last(table.routes, starting=starting)
    return make_frame(hosts, paths, last, doors=bool(settings.door_host))


def make_frame(
    hosts: Sequence[JsonObject | Field],
    paths: Sequence[JsonObject | Field],
    last: JsonObject,
    *,
    doors: bool = False,
) -> JsonObject:
    """Return the RouteConfiguration of what services have of it, as JSON or encoded.

    `last` is the route of whatever no service takes. `doors`: routes are told apart by their ports.
    """
    by_path = {
        "name": "by-path",
        "domains": sorted(RESERVED_HOSTS),
        "routes": [*paths, make_bare_route(), last],
    }
    return {
        "@type": ROUTES_TYPE,
        "name": ROUTES,
        "ignore_port_in_host_matching": True,
        "max_direct_response_body_size_bytes": 4 * _BODY_LIMIT,
        "virtual_hosts": [
            *hosts,
            by_path,
            {"name": "unknown", "domains": ["*"], "routes": [last]},
        ],
        **(make_frame_of_doors() if doors else {}),
    }


def make_last(routes: Sequence[TableRoute], *, starting: bool) -> JsonObject:
    """Return the answer to whatever no service takes: 404, or 503 while none is known yet."""
    return _starting() if starting else _unknown(routes)


def make_hosts(route: TableRoute, settings: GatewaySettings) -> list[JsonObject]:
    """Return the virtual hosts of a service and of its components: their hosts, all paths."""
    made = []
    if route.door:
        entries = list(_to_service(route, {"prefix": "/"}, {}, settings))
        name = make_door_name(route)
        return [{"name": name, "domains": [name], "routes": entries}]
    if route.hosts:
        entries = list(_to_service(route, {"prefix": "/"}, {}, settings))
        made.append(_make_host(route, route.name, route.hosts, entries))
    made += _make_tag_hosts(route, route.name, settings)
    made += [
        make_component_host(route, component, component.hosts, settings)
        for component in route.components
        if component.hosts
    ]
    for component in route.components:
        own = _own_route(route, component)
        made += _make_tag_hosts(own, f"{route.name}/{component.name}", settings)
    return made


def _make_tag_hosts(
    route: TableRoute, name: str, settings: GatewaySettings
) -> Iterable[JsonObject]:
    """Yield the virtual host of each tag that has hosts: all paths, to its share alone."""
    for tag in route.steering.tags:
        if tag.hosts and tag.position < len(route.shares):
            alone = _tagged_route(route, tag)
            entries = list(_to_service(alone, {"prefix": "/"}, {}, settings))
            yield _make_host(route, f"{name}/{tag.name}", tag.hosts, entries)


def _tagged_route(route: TableRoute, tag: Tag) -> TableRoute:
    return replace(
        route,
        shares=select_tagged(route.shares, tag),
        grpc_shares=select_tagged(route.grpc_shares, tag),
        steering=Steering(),
        components=(),
    )


def _own_route(route: TableRoute, component: ComponentRoute) -> TableRoute:
    return replace(
        route,
        shares=component.shares,
        grpc_shares=component.grpc_shares,
        timeout_seconds=component.timeout_seconds,
        steering=component.steering,
        components=(),
    )


def make_component_host(
    route: TableRoute,
    component: ComponentRoute,
    domains: Sequence[str],
    settings: GatewaySettings,
) -> JsonObject:
    """Return the virtual host of a component for these domains: all paths, by its own timeout."""
    own = _own_route(route, component)
    entries = list(_to_service(own, {"prefix": "/"}, {}, settings))
    return _make_host(route, f"{route.name}/{component.name}", domains, entries)


def _make_host(
    route: TableRoute, name: str, domains: Sequence[str], routes: list[JsonObject]
) -> JsonObject:
    """Return a virtual host. What all of its routes have stands here, which Envoy reads sooner."""
    return {
        "name": name,
        "domains": list(dict.fromkeys(host.lower() for host in domains)),
        "routes": routes,
        "request_headers_to_add": _make_identity(route),
    }


def make_paths(route: TableRoute, settings: GatewaySettings) -> list[JsonObject]:
    """Return the routes of the path form, where all services share a host: `/` for the prefix.

    With its slash, because Envoy's separated prefix would turn `/serving/ns/name/v1` into `//v1`;
    without it `bare` has one route for all. A route with a door has none.
    """
    if route.door:
        return []
    match, rewrite = {"prefix": f"{route.path_prefix}/"}, {"prefix_rewrite": "/"}
    entries = _to_service(route, match, rewrite, settings)
    identity = {"request_headers_to_add": _make_identity(route)}
    return [entry | identity if "route" in entry else entry for entry in entries]


def _to_service(
    route: TableRoute, match: JsonObject, rewrite: JsonObject, settings: GatewaySettings
) -> Iterable[JsonObject]:
    for component in route.components:
        if component.explains:
            yield _explained(route, component, match, settings)
    for tag in route.steering.tags:
        alone = _tagged_route(route, tag)
        for one in make_tag_matches(tag, match) if alone.shares else ():
            yield from _to_service(alone, one, rewrite, settings)
    for one, place in make_stays(route.steering, route.shares, match):
        yield from _to_service(_tagged_route(route, place), one, rewrite, settings)
    if route.grpc_shares:
        action = {**_action(route.grpc_shares, route, settings), **rewrite}
        yield {"match": {**match, "grpc": {}}, "route": action}
    if route.shares:
        action = {**_action(route.shares, route, settings), **rewrite}
        yield {"match": match, "route": action}
    else:
        yield _unavailable(route, match)


def _explained(
    route: TableRoute, component: ComponentRoute, match: JsonObject, settings: GatewaySettings
) -> JsonObject:
    """Return the route of `:explain` (KServe, Standard mode with the Gateway API)."""
    prefix = re.escape(str(match.get("prefix", "/")).rstrip("/"))
    own = replace(route, timeout_seconds=component.timeout_seconds, steering=component.steering)
    action = _action(component.shares, own, settings)
    if prefix:
        pattern = {"regex": f"^{prefix}"}
        action |= {"regex_rewrite": {"pattern": pattern, "substitution": ""}}
    found = {"safe_regex": {"regex": rf"{prefix}{_EXPLAIN}"}}
    return {"match": found, "route": action}


def _action(shares: tuple[Share, ...], route: TableRoute, settings: GatewaySettings) -> JsonObject:
    """Return where requests go."""
    steering = make_steering(route.steering, shares)
    return {
        **steering,
        **_choice(shares, route, drawn="hash_policy" not in steering),
        "timeout": "0s",
        "idle_timeout": f"{_silence(shares, route, settings)}s",
    }


def _choice(shares: tuple[Share, ...], route: TableRoute, *, drawn: bool) -> JsonObject:
    """Return which clusters take the requests. One without more to say costs Envoy the least."""
    weighted = [_weighted(share, route) for share in shares]
    if len(shares) == 1 and weighted[0].keys() == {"name", "weight"}:
        return {"cluster": shares[0].cluster}
    by_hash = {} if drawn else {"use_hash_policy": True}
    return {"weighted_clusters": {"clusters": weighted, **by_hash}}


def _weighted(share: Share, route: TableRoute) -> JsonObject:
    weighted: JsonObject = {"name": share.cluster, "weight": share.weight}
    if is_given(route.steering, route.shares):
        weighted |= make_cookie(share)
    return weighted | make_hold(share, route.timeout_seconds) if share.held else weighted


def _silence(shares: tuple[Share, ...], route: TableRoute, settings: GatewaySettings) -> int:
    """Return how many seconds may pass without a byte: no stream is cut while it flows.

    A request that is held says nothing; the activator ends its wait, with a reason, before this.
    """
    timeout = settings.timeout_seconds if route.timeout_seconds is None else route.timeout_seconds
    if not timeout or not any(share.held for share in shares):
        return timeout
    held = HOLD_SECONDS if route.timeout_seconds is None else route.timeout_seconds
    return held + timeout


def _make_identity(route: TableRoute) -> list[JsonObject]:
    """Return the headers that KServe's ingress sets on every request."""
    namespace, name = route.name.split("/")
    headers = {"KServe-Isvc-Name": name, "KServe-Isvc-Namespace": namespace}
    return [
        {
            "header": {"key": key, "value": value},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
        for key, value in headers.items()
    ]


def _unavailable(route: TableRoute, match: JsonObject) -> JsonObject:
    text = route.unavailable or (
        f'service "{route.name}" has nothing running that could answer; ask "sampan why" for the'
        " reason"
    )
    return {
        "match": match,
        "direct_response": {"status": 503, "body": {"inline_string": text[:_BODY_LIMIT]}},
        "response_headers_to_add": [_RETRY_AFTER],
    }


def _starting() -> JsonObject:
    text = "the gateway has started and does not know its services yet; try again in a second"
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": 503, "body": {"inline_string": text}},
        "response_headers_to_add": [_RETRY_AFTER],
    }


def _unknown(routes: Sequence[TableRoute]) -> JsonObject:
    """Return the last route: 404 that names what was asked for and what there is."""
    text = 'no service answers for host "%REQ(:AUTHORITY)%" and path "%PATH(NQ:PATH)%"; ' + _known(
        routes
    ).replace("%", "%%")
    return {
        "match": {"prefix": "/"},
        "direct_response": {
            "status": 404,
            "body_format": {"text_format_source": {"inline_string": text}},
        },
    }


def _known(routes: Sequence[TableRoute]) -> str:
    if not routes:
        return 'there is no service yet: "sampan apply -f FILE" makes one'
    names = ", ".join(f'"{route.name}"' for route in routes[:_NAMES_SHOWN])
    more = len(routes) - _NAMES_SHOWN
    first = routes[0]
    form = f'path "{first.path_prefix}/"'
    if first.hosts:
        form = f'host "{first.hosts[0]}" or {form}'
    return f"services here: {names}{f' and {more} more' if more > 0 else ''}; ask by {form}"


_RETRY_AFTER: JsonObject = {
    "header": {"key": "retry-after", "value": "1"},
    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
}
