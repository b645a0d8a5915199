"""Discovery: which groups, versions and resources are served, in both of Kubernetes's forms. Pure.

The aggregated form (`APIGroupDiscoveryList` v2) lets kubectl learn all in two requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sampan.machinery.registry import JsonObject, Resource

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READ_VERBS = ("get", "list", "watch")
STATUS_VERBS = ("get", "patch", "update")
AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object served under its own path: its name, kind and verbs."""

    name: str
    kind: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Served:
    """One resource as discovery tells it."""

    resource: Resource
    verbs: tuple[str, ...]
    subresources: tuple[Subresource, ...] = ()

    def with_part(self, name: str) -> Served:
        """Return the same with another read-only subresource."""
        part = Subresource(name, self.resource.kind, ("get",))
        return replace(self, subresources=(*self.subresources, part))


def make_served(resource: Resource) -> Served:
    """Return what is served of a registry's resource."""
    parts = []
    if resource.status_subresource:
        parts.append(Subresource("status", resource.kind, STATUS_VERBS))
    if resource.id == "pods":
        parts.append(Subresource("log", "Pod", ("get",)))
    if resource.id == "serviceaccounts":
        parts.append(Subresource("token", "TokenRequest", ("create",)))
    return Served(resource, READ_VERBS if resource.read_only else VERBS, tuple(parts))


def build_core_versions(address: str) -> JsonObject:
    """Return the answer to `/api`."""
    pair = {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [pair]}


def build_groups(served: Iterable[Served]) -> JsonObject:
    """Return the answer to `/apis`: every named group."""
    names = dict.fromkeys(s.resource.group for s in served if s.resource.group)
    groups = [_group(name, _versions(served, name)) for name in names]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def build_group(served: Iterable[Served], group: str) -> JsonObject | None:
    """Return the answer to `/apis/GROUP`, or None where there is no such group."""
    versions = _versions(served, group)
    if not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}


def build_resources(served: Iterable[Served], group: str, version: str) -> JsonObject | None:
    """Return the answer to `/api/v1` or `/apis/GROUP/VERSION`, or None where nothing is served."""
    found = [s for s in served if (s.resource.group, s.resource.version) == (group, version)]
    if not found:
        return None
    api_version = f"{group}/{version}" if group else version
    resources = [entry for s in found for entry in _entries(s)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": resources,
    }


def build_aggregated(served: Iterable[Served], *, core: bool) -> JsonObject:
    """Return the aggregated answer to `/api` (`core`) or `/apis`."""
    names = dict.fromkeys(s.resource.group for s in served if bool(s.resource.group) is not core)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [_aggregated_group(served, name) for name in names],
    }


def _versions(served: Iterable[Served], group: str) -> list[str]:
    found = dict.fromkeys(s.resource.version for s in served if s.resource.group == group)
    return sorted(found, key=_maturity)


def _maturity(version: str) -> tuple[int, int, str]:
    """Stable before beta before alpha, and the later ones first, as Kubernetes orders versions."""
    last = re.search(r"\d+$", version)
    newest_first = -int(last[0]) if last else 0
    for rank, word in enumerate(("beta", "alpha"), start=1):
        if word in version:
            return rank, newest_first, version
    return 0, newest_first, version


def _group(name: str, versions: list[str]) -> JsonObject:
    listed = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _entries(served: Served) -> list[JsonObject]:
    r = served.resource
    entry: JsonObject = {
        "name": r.plural,
        "singularName": r.singular or r.kind.lower(),
        "namespaced": r.namespaced,
        "kind": r.kind,
        "verbs": list(served.verbs),
    }
    if r.short_names:
        entry["shortNames"] = list(r.short_names)
    if r.categories:
        entry["categories"] = list(r.categories)
    parts = [
        {
            "name": f"{r.plural}/{part.name}",
            "singularName": "",
            "namespaced": r.namespaced,
            "kind": part.kind,
            "verbs": list(part.verbs),
        }
        for part in served.subresources
    ]
    return [entry, *parts]


def _aggregated_group(served: Iterable[Served], group: str) -> JsonObject:
    versions = [
        {
            "version": version,
            "resources": [
                _aggregated_resource(s)
                for s in served
                if (s.resource.group, s.resource.version) == (group, version)
            ],
            "freshness": "Current",
        }
        for version in _versions(served, group)
    ]
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _aggregated_resource(served: Served) -> JsonObject:
    r = served.resource
    return {
        "resource": r.plural,
        "responseKind": _kind(r, r.kind),
        "scope": "Namespaced" if r.namespaced else "Cluster",
        "singularResource": r.singular or r.kind.lower(),
        "verbs": list(served.verbs),
        **({"shortNames": list(r.short_names)} if r.short_names else {}),
        **({"categories": list(r.categories)} if r.categories else {}),
        "subresources": [
            {"subresource": p.name, "responseKind": _kind(r, p.kind), "verbs": list(p.verbs)}
            for p in served.subresources
        ],
    }


def _kind(resource: Resource, kind: str) -> JsonObject:
    return {"group": resource.group, "version": resource.version, "kind": kind}
