"""A port for each route: what is asked there is that route's, whatever its host and path. Pure.

Envoy finds routes by the value of one header (`vhost_header`), which the listener of a port writes
before it looks. So all ports share one table of routes: a route that changes ends no connection, as
one that stands in its listener would.
"""

from __future__ import annotations

from sampan.gateway.table import TableRoute
from sampan.machinery.registry import JsonObject

HEADER = "x-sampan-door"
"""Written over whatever a client sends, and taken off before a request goes on."""

_MUTATION = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3"


def make_door_name(route: TableRoute) -> str:
    """Return the name of a route's door: `name.namespace`, as of a host."""
    namespace, _, name = route.name.partition("/")
    return f"{name}.{namespace}"


def make_door_mark(name: str) -> JsonObject:
    """Return what a listener adds to its connection manager so that its requests are its door's."""
    header = {"key": HEADER, "value": name}
    mutation = {"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    extension = {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {"@type": f"{_MUTATION}.HeaderMutation", "mutations": [mutation]},
    }
    return {"early_header_mutation_extensions": [extension]}


def make_frame_of_doors() -> JsonObject:
    """Return what a RouteConfiguration adds to be found by doors."""
    return {"vhost_header": HEADER, "request_headers_to_remove": [HEADER]}
