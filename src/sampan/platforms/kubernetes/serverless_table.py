"""From Deployments and EndpointSlices to what the activator's gateway serves. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute
from sampan.machinery.registry import JsonObject
from sampan.plan.pod_metadata import COMPONENT_LABEL, SERVICE_LABEL
from sampan.plan.types import Component
from sampan.platforms.kubernetes.serverless import PODS_SUFFIX, Terms, read_terms

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
"""Labels of an EndpointSlice: whose it is, and who writes it (Kubernetes, "EndpointSlices")."""
ACTIVATOR = "sampan-activator"
GRPC = "/grpc"


@dataclass(frozen=True, slots=True)
class Served:
    """A workload that the activator looks after.

    `deployment` is what is kept of its Deployment. `rest` and `grpc` are where its ready pods
    answer, `door` is the port at which it is asked here (0: none yet).
    """

    namespace: str
    name: str
    terms: Terms
    deployment: JsonObject
    rest: tuple[Endpoint, ...] = ()
    grpc: tuple[Endpoint, ...] = ()
    door: int = 0

    @property
    def key(self) -> str:
        """Its name everywhere: `namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def replicas(self) -> int:
        """How many replicas its Deployment asks for."""
        return int(self.deployment["spec"].get("replicas", 1))

    @property
    def version(self) -> str:
        """Which version of its Deployment this was read from."""
        return str(self.deployment["metadata"].get("resourceVersion") or "")


_KEPT = (
    *("name", "namespace", "uid", "resourceVersion", "deletionTimestamp"),
    *("labels", "annotations", "ownerReferences"),
)


def keep_of_deployment(obj: Mapping[str, Any]) -> JsonObject:
    """Return what of a Deployment is kept: of its pod template a hash, and its annotations."""
    metadata, spec = obj["metadata"], obj["spec"]
    template = spec.get("template") or {}
    text = json.dumps(template, sort_keys=True)
    return {
        "metadata": {k: metadata[k] for k in _KEPT if k in metadata},
        "spec": {
            "replicas": spec.get("replicas", 1),
            "hash": hashlib.sha256(text.encode()).hexdigest()[:10],
            "annotations": (template.get("metadata") or {}).get("annotations") or {},
        },
        "status": {k: v for k, v in (obj.get("status") or {}).items() if k == "conditions"},
    }


def select_terms(
    deployments: Iterable[JsonObject], known: Mapping[str, Terms]
) -> tuple[Mapping[str, Terms], tuple[str, ...]]:
    """Return the terms of each Deployment that is not on its way out, by key, and the keys of those
    whose terms cannot be read. These keep the ones that are `known`: somebody edited them, or an
    operator of another version wrote them, and neither is a reason to answer nobody.
    """
    found: dict[str, Terms] = {}
    unread = []
    for deployment in deployments:
        metadata = deployment["metadata"]
        if metadata.get("deletionTimestamp"):
            continue
        key = f"{metadata['namespace']}/{metadata['name']}"
        terms = read_terms(metadata.get("annotations") or {})
        if terms is None:
            unread.append(key)
        if (terms or known.get(key)) is not None:
            found[key] = terms or known[key]
    return found, tuple(unread)


def select_served(
    deployments: Iterable[JsonObject], slices: Iterable[JsonObject], terms: Mapping[str, Terms]
) -> tuple[Served, ...]:
    """Return the workloads of Deployments that have terms, by key, and what slices tell of them."""
    by_service: dict[tuple[str, str], list[JsonObject]] = {}
    for one in slices:
        metadata = one["metadata"]
        name = (metadata.get("labels") or {}).get(SERVICE_NAME, "")
        by_service.setdefault((metadata["namespace"], name), []).append(one)
    found = []
    for deployment in deployments:
        namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
        its = terms.get(f"{namespace}/{name}")
        if its is None:
            continue
        pods = by_service.get((namespace, name + PODS_SUFFIX), [])
        rest, grpc = (tuple(sorted(set(_ready(pods, port)))) for port in (its.rest, its.grpc))
        door = next(map(door_of, filter(is_ours, by_service.get((namespace, name), []))), 0)
        found.append(Served(namespace, name, its, deployment, rest, grpc, door))
    return tuple(sorted(found, key=lambda served: served.key))


_BEHIND: Mapping[str, tuple[str, ...]] = {
    Component.TRANSFORMER.value: (Component.PREDICTOR.value,),
    Component.EXPLAINER.value: (Component.PREDICTOR.value, Component.TRANSFORMER.value),
}
"""Which components of a service a component asks."""


def select_behind(one: Served, served: Iterable[Served]) -> tuple[Served, ...]:
    """Return the workloads that a workload will ask: who wakes it wakes these, so that they start
    beside it and not after it.
    """
    asked = _BEHIND.get(_label(one, COMPONENT_LABEL), ())
    service = (one.namespace, _label(one, SERVICE_LABEL))
    return tuple(
        other
        for other in served
        if asked and (other.namespace, _label(other, SERVICE_LABEL)) == service
        if _label(other, COMPONENT_LABEL) in asked
    )


def _label(one: Served, name: str) -> str:
    return str((one.deployment["metadata"].get("labels") or {}).get(name) or "")


def is_ours(one: Mapping[str, Any]) -> bool:
    """Return whether the activator wrote an EndpointSlice."""
    return (one["metadata"].get("labels") or {}).get(MANAGED_BY) == ACTIVATOR


def door_of(one: Mapping[str, Any]) -> int:
    """Return the port of a slice of ours; 0 where it has none."""
    return next((int(p["port"]) for p in one.get("ports") or () if p.get("port")), 0)


def _ready(slices: Iterable[JsonObject], name: str) -> Iterator[Endpoint]:
    for one in slices:
        ports = one.get("ports") or ()
        port = next((int(p["port"]) for p in ports if str(p.get("name") or "") == name), 0)
        for endpoint in one.get("endpoints") or () if port else ():
            # Unset means ready (Kubernetes, EndpointConditions).
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                yield from (Endpoint(str(address), port) for address in endpoint["addresses"])


def make_table(served: Iterable[Served], is_held: Callable[[Served], bool]) -> RouteTable:
    """Return the routes and clusters of workloads that have a door."""
    routes, clusters = [], []
    for one in served:
        if not one.door:
            continue
        held = one.key if is_held(one) else ""
        clusters += [
            Cluster(one.key, one.rest, "", concurrency=one.terms.concurrency),
            Cluster(one.key + GRPC, one.grpc, "", http2=True),
        ]
        routes.append(_make_route(one, held))
    return RouteTable(tuple(routes), tuple(clusters))


def _make_route(one: Served, held: str) -> TableRoute:
    return TableRoute(
        name=one.key,
        hosts=(),
        path_prefix=f"/serving/{one.key}",
        shares=(Share(one.key, held=held),),
        grpc_shares=(Share(one.key + GRPC, held=held),),
        timeout_seconds=one.terms.timeout,
        door=one.door,
    )
