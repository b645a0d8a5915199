"""What a route does with requests and responses on their way (Gateway API, HTTPRouteFilter)."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from sampan.api.llminferenceservice import route_rules
from sampan.api.llminferenceservice.names import (
    HEADER_NAME,
    PATH_CHARACTERS,
    GroupName,
    KindName,
    Namespace,
    ObjectName,
    Port,
    SectionName,
    ruled,
)
from sampan.api.view import View, facts

_ATOMIC = "atomic"
_HeaderName: TypeAlias = Annotated[str, facts(minLength=1, maxLength=256, pattern=HEADER_NAME)]
_Headers: TypeAlias = Annotated[list[str], facts(maxItems=64, x_kubernetes_list_type="set")]
_ORIGIN = (
    r"(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)"
)
_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]


class HTTPBackendObject(View):
    """Something that answers requests, usually a Service."""

    schema_facts = ruled(route_rules.SERVICE_PORT)
    group: Annotated[GroupName | None, facts(default="")] = None
    """Its API group."""
    kind: Annotated[KindName | None, facts(default="Service")] = None
    """Its kind."""
    name: ObjectName
    """Its name."""
    namespace: Namespace | None = None
    """Its namespace; absent: the route's own."""
    port: Port | None = None
    """Its port; a Service needs one."""


class HTTPRouteHeader(View):
    """A header and its value."""

    name: _HeaderName
    """Name of the header."""
    value: Annotated[str, facts(minLength=1, maxLength=4096)]
    """Its value."""


_HeaderList: TypeAlias = Annotated[
    list[HTTPRouteHeader],
    facts(maxItems=16, x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["name"]),
]


class HTTPHeaderModifier(View):
    """Changes of headers."""

    add: _HeaderList | None = None
    """Headers that are added to those of the same name."""
    set: _HeaderList | None = None
    """Headers that take the place of those of the same name."""
    remove: Annotated[list[str] | None, facts(maxItems=16, x_kubernetes_list_type="set")] = None
    """Names of headers that are taken away."""


class HTTPFraction(View):
    """A share of the requests."""

    schema_facts = ruled(route_rules.FRACTION)
    numerator: Annotated[int, facts(format="int32", minimum=0)]
    """So many."""
    denominator: Annotated[int | None, facts(format="int32", minimum=1, default=100)] = None
    """Of so many."""


class HTTPRequestMirror(View):
    """Copies of requests to another backend, whose answers are dropped."""

    schema_facts = ruled(route_rules.MIRROR)
    backend_ref: HTTPBackendObject
    """Who gets the copies."""
    percent: Annotated[int | None, facts(format="int32", minimum=0, maximum=100)] = None
    """The share that is copied, in percent."""
    fraction: HTTPFraction | None = None
    """The share that is copied, as a fraction."""


class HTTPPathModifier(View):
    """How the path of a request is changed."""

    schema_facts = ruled(*route_rules.PATH_MODIFIER)
    type: Annotated[str, facts(enum=["ReplaceFullPath", "ReplacePrefixMatch"])]
    """What is replaced."""
    replace_full_path: Annotated[str | None, facts(maxLength=1024)] = None
    """The new path."""
    replace_prefix_match: Annotated[str | None, facts(maxLength=1024)] = None
    """What takes the place of the prefix that was matched."""


class HTTPRequestRedirect(View):
    """Sends the client elsewhere."""

    scheme: Annotated[str | None, facts(enum=["http", "https"])] = None
    """Scheme of the new address; absent: that of the request."""
    hostname: SectionName | None = None
    """Host of the new address; absent: that of the request."""
    path: HTTPPathModifier | None = None
    """Path of the new address; absent: that of the request."""
    port: Port | None = None
    """Port of the new address."""
    status_code: Annotated[int | None, facts(enum=[301, 302, 303, 307, 308], default=302)] = None
    """Code of the answer."""


class HTTPURLRewrite(View):
    """Changes the address before the backend sees it."""

    hostname: SectionName | None = None
    """The new host."""
    path: HTTPPathModifier | None = None
    """The new path."""


class HTTPCORS(View):
    """Which pages of other origins may ask (Fetch, CORS protocol)."""

    allow_origins: Annotated[
        list[Annotated[str, facts(minLength=1, maxLength=253, pattern=_ORIGIN)]] | None,
        facts(
            maxItems=64,
            x_kubernetes_list_type="set",
            x_kubernetes_validations=route_rules.alone("AllowOrigins", "origins"),
        ),
    ] = None
    """Origins that may ask; `*`: all."""
    allow_credentials: bool | None = None
    """Whether cookies and credentials may be sent."""
    allow_methods: Annotated[
        list[Annotated[str, facts(enum=[*_METHODS, "*"])]] | None,
        facts(
            maxItems=9,
            x_kubernetes_list_type="set",
            x_kubernetes_validations=route_rules.alone("AllowMethods", "methods"),
        ),
    ] = None
    """Methods that may be used."""
    allow_headers: Annotated[
        list[_HeaderName] | None,
        facts(
            maxItems=64,
            x_kubernetes_list_type="set",
            # "methods" is upstream's own slip in this text, which clients may compare.
            x_kubernetes_validations=route_rules.alone("AllowHeaders", "methods"),
        ),
    ] = None
    """Headers that may be sent."""
    expose_headers: Annotated[
        list[_HeaderName] | None, facts(maxItems=64, x_kubernetes_list_type="set")
    ] = None
    """Headers of answers that pages may read."""
    max_age: Annotated[int | None, facts(format="int32", minimum=1, default=5)] = None
    """How long a browser may keep these answers, in seconds."""


class HTTPAuthGRPC(View):
    """How an authorization server is asked over gRPC."""

    allowed_headers: _Headers | None = None
    """Headers of the request that it gets."""


class HTTPAuthHTTP(View):
    """How an authorization server is asked over HTTP."""

    path: Annotated[str | None, facts(maxLength=1024, pattern=PATH_CHARACTERS)] = None
    """What is put before the request's path."""
    allowed_headers: _Headers | None = None
    """Headers of the request that it gets."""
    allowed_response_headers: _Headers | None = None
    """Headers of its answer that the backend gets."""


class HTTPForwardBody(View):
    """How much of the body an authorization server gets."""

    max_size: int | None = None
    """Most bytes; 0 or absent: none."""


class HTTPExternalAuth(View):
    """A server that is asked about each request first."""

    schema_facts = ruled(*route_rules.AUTH)
    protocol: Annotated[str, facts(enum=["HTTP", "GRPC"])]
    """How it is asked."""
    backend_ref: HTTPBackendObject
    """Who is asked."""
    grpc: HTTPAuthGRPC | None = None
    """How, over gRPC."""
    http: HTTPAuthHTTP | None = None
    """How, over HTTP."""
    forward_body: HTTPForwardBody | None = None
    """How much of the body it gets."""


class LocalObject(View):
    """An object of the same namespace, with its group and kind."""

    group: GroupName
    """Its API group."""
    kind: KindName
    """Its kind."""
    name: ObjectName
    """Its name."""


class HTTPRouteFilter(View):
    """One step; `type` says which, and the field of that name holds it."""

    schema_facts = ruled(*route_rules.FILTER)
    type: Annotated[
        str,
        facts(
            enum=[
                "RequestHeaderModifier",
                "ResponseHeaderModifier",
                "RequestMirror",
                "RequestRedirect",
                "URLRewrite",
                "ExtensionRef",
                "CORS",
            ]
        ),
    ]
    """Which step."""
    request_header_modifier: HTTPHeaderModifier | None = None
    """Changes headers of requests."""
    response_header_modifier: HTTPHeaderModifier | None = None
    """Changes headers of answers."""
    request_mirror: HTTPRequestMirror | None = None
    """Copies requests."""
    request_redirect: HTTPRequestRedirect | None = None
    """Sends the client elsewhere."""
    url_rewrite: HTTPURLRewrite | None = None
    """Changes the address."""
    cors: HTTPCORS | None = None
    """Lets pages of other origins ask."""
    external_auth: HTTPExternalAuth | None = None
    """Asks an authorization server."""
    extension_ref: LocalObject | None = None
    """A step that the gateway's maker defines."""


HTTPFilters: TypeAlias = Annotated[
    list[HTTPRouteFilter],
    facts(
        maxItems=16,
        x_kubernetes_list_type=_ATOMIC,
        x_kubernetes_validations=route_rules.FILTERS,
    ),
]
METHODS = tuple(_METHODS)
"""The methods of HTTP that a route may match."""
