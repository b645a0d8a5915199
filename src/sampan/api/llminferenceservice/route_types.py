"""An HTTPRoute's spec (Gateway API v1): which requests, what is done to them, who answers."""

from __future__ import annotations

from typing import Annotated

from sampan.api.llminferenceservice import route_rules
from sampan.api.llminferenceservice.filter_types import METHODS, HTTPBackendObject, HTTPFilters
from sampan.api.llminferenceservice.names import (
    HEADER_NAME,
    Duration,
    GroupName,
    Hostname,
    KindName,
    Namespace,
    ObjectName,
    Port,
    SectionName,
    ruled,
)
from sampan.api.view import View, facts

_EVERYTHING = {"type": "PathPrefix", "value": "/"}
_MATCHERS = ["Exact", "RegularExpression"]


class HTTPParentRef(View):
    """A gateway that takes the route, or a listener of it."""

    group: Annotated[GroupName | None, facts(default="gateway.networking.k8s.io")] = None
    """Its API group."""
    kind: Annotated[KindName | None, facts(default="Gateway")] = None
    """Its kind."""
    name: ObjectName
    """Its name."""
    namespace: Namespace | None = None
    """Its namespace; absent: the route's own."""
    section_name: SectionName | None = None
    """The listener; absent: all of them."""
    port: Port | None = None
    """The listener's port."""


class HTTPPathMatch(View):
    """A path that requests have."""

    schema_facts = ruled(*route_rules.PATH)
    type: Annotated[
        str | None,
        facts(enum=["Exact", "PathPrefix", "RegularExpression"], default="PathPrefix"),
    ] = None
    """How `value` is compared."""
    value: Annotated[str | None, facts(maxLength=1024, default="/")] = None
    """The path, its beginning, or a regular expression."""


class HTTPHeaderMatch(View):
    """A header that requests have."""

    type: Annotated[str | None, facts(enum=_MATCHERS, default="Exact")] = None
    """How `value` is compared."""
    name: Annotated[str, facts(minLength=1, maxLength=256, pattern=HEADER_NAME)]
    """Name of the header."""
    value: Annotated[str, facts(minLength=1, maxLength=4096)]
    """Its value, or a regular expression."""


class HTTPQueryParamMatch(View):
    """A parameter that the query of requests has."""

    type: Annotated[str | None, facts(enum=_MATCHERS, default="Exact")] = None
    """How `value` is compared."""
    name: Annotated[str, facts(minLength=1, maxLength=256, pattern=HEADER_NAME)]
    """Name of the parameter."""
    value: Annotated[str, facts(minLength=1, maxLength=1024)]
    """Its value, or a regular expression."""


class HTTPRouteMatch(View):
    """Requests for which all that is given holds."""

    path: Annotated[HTTPPathMatch | None, facts(default=_EVERYTHING)] = None
    """Their path."""
    headers: Annotated[
        list[HTTPHeaderMatch] | None,
        facts(maxItems=16, x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["name"]),
    ] = None
    """Headers that they all have."""
    query_params: Annotated[
        list[HTTPQueryParamMatch] | None,
        facts(maxItems=16, x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["name"]),
    ] = None
    """Parameters that they all have."""
    method: Annotated[str | None, facts(enum=[*METHODS])] = None
    """Their method."""


class HTTPBackendRef(HTTPBackendObject):
    """Who answers, with a share of the requests."""

    weight: Annotated[
        int | None, facts(format="int32", minimum=0, maximum=1_000_000, default=1)
    ] = None
    """The share, in proportion to the sum of all weights."""
    filters: HTTPFilters | None = None
    """What is done to the requests that go here."""


class HTTPTimeouts(View):
    """How long is waited."""

    schema_facts = ruled(route_rules.TIMEOUTS)
    request: Duration | None = None
    """For the whole answer; `0s`: without an end."""
    backend_request: Duration | None = None
    """For one try of a backend."""


class HTTPRetry(View):
    """When a request is tried again."""

    codes: Annotated[
        list[Annotated[int, facts(minimum=400, maximum=599)]] | None,
        facts(x_kubernetes_list_type="atomic"),
    ] = None
    """Codes of answers after which it is."""
    attempts: int | None = None
    """How often."""
    backoff: Duration | None = None
    """How long is waited in between."""


class HTTPCookieConfig(View):
    """How long the cookie of a session lives."""

    lifetime_type: Annotated[
        str | None, facts(enum=["Permanent", "Session"], default="Session")
    ] = None
    """`Session`: until the browser closes; `Permanent`: for `absoluteTimeout`."""


class HTTPSessionPersistence(View):
    """Sends the requests of one client to the same backend."""

    schema_facts = ruled(*route_rules.SESSION)
    session_name: Annotated[str | None, facts(maxLength=128)] = None
    """Name of the cookie or header."""
    absolute_timeout: Duration | None = None
    """How long a session lives."""
    idle_timeout: Duration | None = None
    """How long a session lives without requests."""
    type: Annotated[str | None, facts(enum=["Cookie", "Header"], default="Cookie")] = None
    """What a session is known by."""
    cookie_config: HTTPCookieConfig | None = None
    """How long its cookie lives."""


class HTTPRouteRule(View):
    """Which requests, what is done to them, and who answers."""

    schema_facts = ruled(*route_rules.RULE)
    name: SectionName | None = None
    """Name of the rule."""
    matches: Annotated[
        list[HTTPRouteMatch] | None,
        facts(maxItems=64, x_kubernetes_list_type="atomic", default=[{"path": _EVERYTHING}]),
    ] = None
    """Requests for which one of these holds."""
    filters: HTTPFilters | None = None
    """What is done to them."""
    backend_refs: Annotated[
        list[HTTPBackendRef] | None, facts(maxItems=16, x_kubernetes_list_type="atomic")
    ] = None
    """Who answers."""
    timeouts: HTTPTimeouts | None = None
    """How long is waited."""
    retry: HTTPRetry | None = None
    """When they are tried again."""
    session_persistence: HTTPSessionPersistence | None = None
    """Whether those of one client go to the same backend."""


class HTTPRouteSpec(View):
    """A route."""

    parent_refs: Annotated[
        list[HTTPParentRef] | None, facts(maxItems=32, x_kubernetes_list_type="atomic")
    ] = None
    """Gateways that take it."""
    use_default_gateways: Annotated[str | None, facts(enum=["All", "None"])] = None
    """Whether the cluster's default gateways take it too."""
    hostnames: Annotated[
        list[Hostname] | None, facts(maxItems=16, x_kubernetes_list_type="atomic")
    ] = None
    """Hosts of the requests; absent: any."""
    rules: Annotated[
        list[HTTPRouteRule] | None,
        facts(
            minItems=1,
            maxItems=16,
            x_kubernetes_list_type="atomic",
            x_kubernetes_validations=route_rules.MATCHES_IN_ALL,
            default=[{"matches": [{"path": _EVERYTHING}]}],
        ),
    ] = None
    """What is done with them."""
