"""The fields of Envoy's routes that are used here, by their numbers. Data.

Source: Envoy's API v3, `envoy/config/route/v3` and `envoy/extensions/filters/http/ext_authz/v3`. A
field that a route is given has a row here; tests have Envoy read both forms and compare.
"""

from __future__ import annotations

from sampan.gateway.binary import (
    DURATION,
    EMPTY,
    FLAG,
    NUMBER,
    OPTIONAL_FLAG,
    OPTIONAL_NUMBER,
    TEXT,
    Kind,
    make_any,
    make_choice,
    make_map,
    make_message,
)

_TYPES = "type.googleapis.com/envoy"
ROUTES_TYPE = f"{_TYPES}.config.route.v3.RouteConfiguration"

ROUTE_MESSAGES: dict[str, Kind] = {}
"""The resource, and what stands in it where any message may, by type URL."""
_ANY = make_any(ROUTE_MESSAGES)

_REGEX = make_message("RegexMatcher", {"regex": (2, TEXT)})
_SUBSTITUTE = make_message(
    "RegexMatchAndSubstitute", {"pattern": (1, _REGEX), "substitution": (2, TEXT)}
)
_STRING_MATCH = make_message(
    "StringMatcher",
    {
        "exact": (1, TEXT),
        "prefix": (2, TEXT),
        "suffix": (3, TEXT),
        "safe_regex": (5, _REGEX),
        "ignore_case": (6, FLAG),
        "contains": (7, TEXT),
    },
)
_HEADER = make_message("HeaderValue", {"key": (1, TEXT), "value": (2, TEXT)})
_APPEND = make_choice(
    APPEND_IF_EXISTS_OR_ADD=0, ADD_IF_ABSENT=1, OVERWRITE_IF_EXISTS_OR_ADD=2, OVERWRITE_IF_EXISTS=3
)
_HEADER_OPTION = make_message(
    "HeaderValueOption", {"header": (1, _HEADER), "append_action": (3, _APPEND)}
)
_FRACTION = make_message(
    "FractionalPercent",
    {
        "numerator": (1, NUMBER),
        "denominator": (2, make_choice(HUNDRED=0, TEN_THOUSAND=1, MILLION=2)),
    },
)
_RUNTIME_FRACTION = make_message(
    "RuntimeFractionalPercent", {"default_value": (1, _FRACTION), "runtime_key": (2, TEXT)}
)
_HEADER_MATCH = make_message(
    "HeaderMatcher",
    {
        "name": (1, TEXT),
        "present_match": (7, FLAG),
        "invert_match": (8, FLAG),
        "string_match": (13, _STRING_MATCH),
    },
)
_QUERY_MATCH = make_message(
    "QueryParameterMatcher",
    {"name": (1, TEXT), "string_match": (5, _STRING_MATCH), "present_match": (6, FLAG)},
)
_MATCH = make_message(
    "RouteMatch",
    {
        "prefix": (1, TEXT),
        "path": (2, TEXT),
        "case_sensitive": (4, OPTIONAL_FLAG),
        "headers": (6, _HEADER_MATCH),
        "query_parameters": (7, _QUERY_MATCH),
        "grpc": (8, EMPTY),
        "runtime_fraction": (9, _RUNTIME_FRACTION),
        "safe_regex": (10, _REGEX),
        "path_separated_prefix": (14, TEXT),
    },
)
_WEIGHTED = make_message(
    "ClusterWeight",
    {
        "name": (1, TEXT),
        "weight": (2, OPTIONAL_NUMBER),
        "request_headers_to_add": (4, _HEADER_OPTION),
        "response_headers_to_add": (5, _HEADER_OPTION),
        "response_headers_to_remove": (6, TEXT),
        "request_headers_to_remove": (9, TEXT),
        "typed_per_filter_config": (10, make_map(_ANY)),
    },
)
_WEIGHTED_CLUSTERS = make_message(
    "WeightedCluster",
    {
        "clusters": (1, _WEIGHTED),
        "runtime_key_prefix": (2, TEXT),
        "total_weight": (3, OPTIONAL_NUMBER),
        "header_name": (4, TEXT),
        "use_hash_policy": (5, OPTIONAL_FLAG),
    },
)
_MIRROR = make_message(
    "RequestMirrorPolicy",
    {
        "cluster": (1, TEXT),
        "runtime_fraction": (3, _RUNTIME_FRACTION),
        "trace_sampled": (4, OPTIONAL_FLAG),
        "disable_shadow_host_suffix_append": (6, FLAG),
    },
)
_HASH = make_message(
    "HashPolicy",
    {
        "header": (1, make_message("Header", {"header_name": (1, TEXT)})),
        "cookie": (
            2,
            make_message("Cookie", {"name": (1, TEXT), "ttl": (2, DURATION), "path": (3, TEXT)}),
        ),
        "terminal": (4, FLAG),
    },
)
_ACTION = make_message(
    "RouteAction",
    {
        "cluster": (1, TEXT),
        "weighted_clusters": (3, _WEIGHTED_CLUSTERS),
        "prefix_rewrite": (5, TEXT),
        "host_rewrite_literal": (6, TEXT),
        "timeout": (8, DURATION),
        "hash_policy": (15, _HASH),
        "idle_timeout": (24, DURATION),
        "request_mirror_policies": (30, _MIRROR),
        "regex_rewrite": (32, _SUBSTITUTE),
    },
)
_SOURCE = make_message("DataSource", {"inline_string": (3, TEXT)})
_DIRECT = make_message(
    "DirectResponseAction",
    {
        "status": (1, NUMBER),
        "body": (2, _SOURCE),
        "body_format": (
            3,
            make_message(
                "SubstitutionFormatString",
                {"text_format_source": (5, _SOURCE), "content_type": (4, TEXT)},
            ),
        ),
    },
)
_ROUTE = make_message(
    "Route",
    {
        "match": (1, _MATCH),
        "route": (2, _ACTION),
        "direct_response": (7, _DIRECT),
        "request_headers_to_add": (9, _HEADER_OPTION),
        "response_headers_to_add": (10, _HEADER_OPTION),
        "response_headers_to_remove": (11, TEXT),
        "request_headers_to_remove": (12, TEXT),
        "typed_per_filter_config": (13, make_map(_ANY)),
        "name": (14, TEXT),
    },
)
ROUTES_FIELD = (3, _ROUTE)
"""What a virtual host has a route in."""
_VIRTUAL_HOST = make_message(
    "VirtualHost",
    {
        "name": (1, TEXT),
        "domains": (2, TEXT),
        "routes": ROUTES_FIELD,
        "request_headers_to_add": (7, _HEADER_OPTION),
        "response_headers_to_add": (10, _HEADER_OPTION),
    },
)
HOSTS_FIELD = (2, _VIRTUAL_HOST)
"""What the whole has a virtual host in."""
ROUTE_MESSAGES[ROUTES_TYPE] = make_message(
    "RouteConfiguration",
    {
        "name": (1, TEXT),
        "virtual_hosts": HOSTS_FIELD,
        "request_headers_to_remove": (8, TEXT),
        "max_direct_response_body_size_bytes": (11, OPTIONAL_NUMBER),
        "ignore_port_in_host_matching": (14, FLAG),
        "vhost_header": (18, TEXT),
    },
)
ROUTE_MESSAGES[f"{_TYPES}.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"] = make_message(
    "ExtAuthzPerRoute",
    {
        "disabled": (1, FLAG),
        "check_settings": (
            2,
            make_message("CheckSettings", {"context_extensions": (1, make_map(TEXT))}),
        ),
    },
)
