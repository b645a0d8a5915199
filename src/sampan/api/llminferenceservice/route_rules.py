"""Rules of an HTTPRoute that span fields, word for word as the Gateway API's schema has them."""

from __future__ import annotations

from sampan.api.llminferenceservice.names import PATH_CHARACTERS, rules

SERVICE_PORT = (
    "Must have port for Service reference",
    "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true",
)

_KINDS_OF_FILTER = {
    "cors": "CORS",
    "requestHeaderModifier": "RequestHeaderModifier",
    "responseHeaderModifier": "ResponseHeaderModifier",
    "requestMirror": "RequestMirror",
    "requestRedirect": "RequestRedirect",
    "urlRewrite": "URLRewrite",
    "extensionRef": "ExtensionRef",
}

FILTER = tuple(
    pair
    for field, kind in _KINDS_OF_FILTER.items()
    for pair in (
        (
            f"filter.{field} must be nil if the filter.type is not {kind}",
            f"!(has(self.{field}) && self.type != '{kind}')",
        ),
        (
            f"filter.{field} must be specified for {kind} filter.type",
            f"!(!has(self.{field}) && self.type == '{kind}')",
        ),
    )
)
"""A filter has the field of its type, and no other."""

FILTERS = rules(
    (
        (
            ("May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, "
            "but not both"),
            ("!(self.exists(f, f.type == 'RequestRedirect') && "
            "self.exists(f, f.type == 'URLRewrite'))"),
        ),
        *(
            (
                f"{kind} filter cannot be repeated",
                f"self.filter(f, f.type == '{kind}').size() <= 1",
            )
            for kind in (
                "CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect",
                "URLRewrite",
            )
        ),
    )
)  # fmt: skip
"""Filters of one place."""

AUTH = tuple(
    pair
    for protocol in ("GRPC", "HTTP")
    for pair in (
        (
            f"{protocol.lower()} must be specified when protocol is set to '{protocol}'",
            f"self.protocol == '{protocol}' ? has(self.{protocol.lower()}) : true",
        ),
        (
            f"protocol must be '{protocol}' when {protocol.lower()} is set",
            f"has(self.{protocol.lower()}) ? self.protocol == '{protocol}' : true",
        ),
    )
)
"""External authorization says how it is asked."""

MIRROR = (
    "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter",
    "!(has(self.percent) && has(self.fraction))",
)
FRACTION = (
    "numerator must be less than or equal to denominator",
    "self.numerator <= self.denominator",
)

PATH_MODIFIER = tuple(
    pair
    for field, kind in (
        ("replaceFullPath", "ReplaceFullPath"),
        ("replacePrefixMatch", "ReplacePrefixMatch"),
    )
    for pair in (
        (
            f"{field} must be specified when type is set to '{kind}'",
            f"self.type == '{kind}' ? has(self.{field}) : true",
        ),
        (
            f"type must be '{kind}' when {field} is set",
            f"has(self.{field}) ? self.type == '{kind}' : true",
        ),
    )
)

_PLAIN = "(self.type in ['Exact','PathPrefix'])"
_FOR_PLAIN = "when type one of ['Exact', 'PathPrefix']"
PATH = (
    (
        f"value must be an absolute path and start with '/' {_FOR_PLAIN}",
        f"{_PLAIN} ? self.value.startsWith('/') : true",
    ),
    *(
        (
            f"must not contain '{part}' {_FOR_PLAIN}",
            f"{_PLAIN} ? !self.value.contains('{part}') : true",
        )
        for part in ("//", "/./", "/../", "%2f", "%2F", "#")
    ),
    *(
        (
            f"must not end with '{part}' {_FOR_PLAIN}",
            f"{_PLAIN} ? !self.value.endsWith('{part}') : true",
        )
        for part in ("/..", "/.")
    ),
    (
        "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']",
        "self.type in ['Exact','PathPrefix'] || self.type == 'RegularExpression'",
    ),
    (
        (
            f"must only contain valid characters (matching {PATH_CHARACTERS}) for types "
            "['Exact', 'PathPrefix']"
        ),
        f'{_PLAIN} ? self.value.matches(r"""{PATH_CHARACTERS}""") : true',
    ),
)

_ONE_PREFIX = (
    "((size(self.matches) != 1 || !has(self.matches[0].path) || "
    "self.matches[0].path.type != 'PathPrefix') ? false : true) : true"
)


def _prefix(field: str, within: str) -> tuple[str, str]:
    """Return the rule that a changed prefix needs exactly one prefix to be matched."""
    name = {"requestRedirect": "RequestRedirect", "urlRewrite": "URLRewrite"}[field]
    changed = (
        f"f, has(f.{field}) && has(f.{field}.path) && f.{field}.path.type == 'ReplacePrefixMatch' "
        f"&& has(f.{field}.path.replacePrefixMatch)"
    )
    message = (
        f"{name} filter with path.replacePrefixMatch, exactly one PathPrefix match must be "
        "specified"
    )
    if not within:
        asked = f"(has(self.filters) && self.filters.exists_one({changed}))"
        return f"When using {message}", f"{asked} ? {_ONE_PREFIX}"
    inner = f"(has(b.filters) && b.filters.exists_one({changed}))"
    asked = f"(has(self.backendRefs) && self.backendRefs.exists_one(b, {inner} ))"
    return f"Within backendRefs, {within} using {message}", f"{asked} ? {_ONE_PREFIX}"


RULE = (
    (
        "RequestRedirect filter must not be used together with backendRefs",
        (
            "(has(self.backendRefs) && size(self.backendRefs) > 0) ? (!has(self.filters) || "
            "self.filters.all(f, !has(f.requestRedirect))): true"
        ),
    ),
    _prefix("requestRedirect", ""),
    _prefix("urlRewrite", ""),
    _prefix("requestRedirect", "when"),
    _prefix("urlRewrite", "When"),
)

MATCHES_IN_ALL = rules(
    (
        (
            ("While 16 rules and 64 matches per rule are allowed, the total number of matches "
            "across all rules in a route must be less than 128"),
            " + ".join(
                f"(self.size() > {n} ? self[{n}].matches.size() : 0)" for n in range(16)
            )
            + " <= 128",
        ),
    )
)  # fmt: skip

SESSION = (
    (
        "AbsoluteTimeout must be specified when cookie lifetimeType is Permanent",
        (
            "!has(self.cookieConfig) || !has(self.cookieConfig.lifetimeType) || "
            "self.cookieConfig.lifetimeType != 'Permanent' || has(self.absoluteTimeout)"
        ),
    ),
    (
        "cookieConfig can only be set with type Cookie",
        "!has(self.cookieConfig) || self.type == 'Cookie'",
    ),
)
TIMEOUTS = (
    "backendRequest timeout cannot be longer than request timeout",
    (
        "!(has(self.request) && has(self.backendRequest) && duration(self.request) != "
        "duration('0s') && duration(self.backendRequest) > duration(self.request))"
    ),
)


def alone(what: str, others: str) -> list[dict[str, str]]:
    """Return the rule that `*` in a list of a CORS filter stands alone."""
    message = f"{what} cannot contain '*' alongside other {others}"
    return rules(((message, "!('*' in self && self.size() > 1)"),))
