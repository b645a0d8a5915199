"""From a path to the resource that it names (Kubernetes API concepts, "Resource URIs"). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize", "why"})
"""What may follow a namespace's name and is not the plural of a resource inside it."""

OUTSIDE = frozenset({".", ".."})
"""Segments that no name can be: they would lead out of the path."""


@dataclass(frozen=True, slots=True)
class Route:
    """Which resource a path names. Without a name: the collection."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """The registry's id of the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """The `apiVersion` of the path."""
        return f"{self.group}/{self.version}" if self.group else self.version


def parse_route(path: str) -> Route | None:
    """Return the route of `/api/v1/...` or `/apis/GROUP/VERSION/...`, or None for other paths."""
    parts = [unquote(p) for p in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        return _resource("", parts[1], parts[2:])
    if parts[0] == "apis" and len(parts) > 3:
        return _resource(parts[1], parts[2], parts[3:])
    return None


def _resource(group: str, version: str, rest: list[str]) -> Route | None:
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3 or not all(rest) or not OUTSIDE.isdisjoint((namespace, *rest)):
        return None
    name, subresource = ([*rest[1:], "", ""])[:2]
    return Route(group, version, rest[0], namespace, name, subresource)
