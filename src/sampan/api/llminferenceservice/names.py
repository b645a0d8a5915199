"""Names as the Gateway API writes them: what a field that refers to something may hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias

from sampan.api.view import facts

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"

ObjectName: TypeAlias = Annotated[str, facts(minLength=1, maxLength=253)]
"""Name of any Kubernetes object."""
Namespace: TypeAlias = Annotated[str, facts(minLength=1, maxLength=63, pattern=f"^{_LABEL}$")]
"""Name of a namespace: a label of RFC 1123."""
SectionName: TypeAlias = Annotated[
    str, facts(minLength=1, maxLength=253, pattern=f"^{_SUBDOMAIN}$")
]
"""Name of a listener, a rule or a host without a wildcard: a subdomain of RFC 1123."""
Hostname: TypeAlias = Annotated[
    str, facts(minLength=1, maxLength=253, pattern=rf"^(\*\.)?{_SUBDOMAIN}$")
]
"""A host, whose first label may be `*`."""
GroupName: TypeAlias = Annotated[str, facts(maxLength=253, pattern=f"^$|^{_SUBDOMAIN}$")]
"""An API group; empty is the core group."""
KindName: TypeAlias = Annotated[
    str, facts(minLength=1, maxLength=63, pattern="^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")
]
"""A kind."""
Port: TypeAlias = Annotated[int, facts(format="int32", minimum=1, maximum=65535)]
"""A network port."""
Duration: TypeAlias = Annotated[str, facts(pattern="^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
"""A length of time (GEP-2257), such as `10s`."""

HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"
"""What a header's name matches (RFC 7230, token)."""
PATH_CHARACTERS = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"
"""What a path of a URL matches (RFC 3986, pchar and `/`)."""

Rule: TypeAlias = dict[str, str]
"""A rule of a schema, as a cluster reads it: `rule` in CEL, and the `message` where it fails."""


def rules(pairs: Iterable[tuple[str, str]]) -> list[Rule]:
    """Return rules from pairs of message and CEL."""
    return [{"message": message, "rule": rule} for message, rule in pairs]


def ruled(*pairs: tuple[str, str]) -> Mapping[str, Any]:
    """Return rules as keywords of an object's schema (`View.schema_facts`)."""
    return {"x-kubernetes-validations": rules(pairs)}
