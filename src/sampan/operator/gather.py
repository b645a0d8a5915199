"""Gathering what decisions about a service or graph are made from: out of caches, without a call.

Only a service with several `storageUris` costs calls, once a minute: the Secrets of its account
become part of its template, and the operator does not keep everybody's Secrets in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sampan.machinery.errors import Forbidden, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cluster import Cluster
from sampan.operator.remembered import EVERYBODY
from sampan.operator.settings import Settings
from sampan.plan.graph_build import GraphSnapshot
from sampan.plan.observed import NOTHING
from sampan.plan.pod_metadata import SOURCE_URI, STORAGE_SPEC
from sampan.plan.service import component_name, deployment_mode
from sampan.plan.types import Component, Gateway, Plan, Snapshot, Workload
from sampan.platforms.kubernetes.kinds import KNATIVE_SERVICES
from sampan.platforms.kubernetes.knative_service import asks_for_zero
from sampan.platforms.kubernetes.pods.account_credentials import DEFAULT_ACCOUNT
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.platforms.kubernetes.source import Source
from sampan.platforms.kubernetes.status.observed import ClusterObserved
from sampan.platforms.kubernetes.status.workloads import KNATIVE, select_ready

_SECRETS, _ACCOUNTS = "secrets", "serviceaccounts"
KNATIVE_AUTOSCALER = Key("configmaps", "knative-serving", "config-autoscaler")
"""Where Knative's autoscaler is configured."""


def gather_snapshot(
    cluster: Cluster, settings: Settings, service: JsonObject, now: float
) -> Snapshot:
    """Return the snapshot of a service."""
    own, namespace = cluster.own, service["metadata"]["namespace"]
    return Snapshot(
        service=service,
        runtimes=tuple(own["servingruntimes"].in_namespace(namespace)),
        cluster_runtimes=tuple(own["clusterservingruntimes"].in_namespace("")),
        config=settings.config,
        gateway=Gateway(),
        observed=NOTHING,
        now=now,
        storage_containers=tuple(own["clusterstoragecontainers"].in_namespace("")),
    )


def gather_graph_snapshot(
    cluster: Cluster, settings: Settings, graph: JsonObject, now: float
) -> GraphSnapshot:
    """Return the snapshot of a graph."""
    own, namespace = cluster.own, graph["metadata"]["namespace"]
    runtimes = own["clusterservingruntimes"].in_namespace("")
    near = own["servingruntimes"].in_namespace(namespace)
    return GraphSnapshot(
        graph=graph,
        services=_by_name(own["inferenceservices"].in_namespace(namespace)),
        runtimes={**_by_name(runtimes), **_by_name(near)},
        config=settings.config,
        gateway=Gateway(),
        observed=NOTHING,
        now=now,
    )


def observe(cluster: Cluster, service: JsonObject, mode: str) -> ClusterObserved:
    """Return what is there of a service."""
    children = cluster.children_of(service)
    observed = ClusterObserved(children)
    metadata = service["metadata"]
    name = component_name(service, Component.PREDICTOR)
    label = f"isvc.{name}"
    if mode == KNATIVE:
        knative = observed.find(KNATIVE_SERVICES, name) or {}
        label = str((knative.get("status") or {}).get("latestCreatedRevisionName") or "")
    pods = cluster.pods_of(metadata["namespace"], metadata["name"], label) if label else ()
    return replace(observed, pods=pods)


async def gather_source(
    cluster: Cluster,
    settings: Settings,
    snapshot: Snapshot,
    plan: Plan,
    observed: ClusterObserved,
    *,
    every_pod: bool = False,
) -> Source:
    """Return what the objects of a service are rendered from. `every_pod`: no webhook brings a
    single model, so that what each pod needs for it is gathered, too.
    """
    service = dict(snapshot.service)
    mode = deployment_mode(service, settings.config.default_deployment_mode)
    ready, routed = select_ready(plan, observed, mode), observed.routed()
    return Source(
        service,
        plan,
        settings.config,
        settings.cluster,
        ready,
        await _gather_around(cluster, settings, snapshot, plan, every_pod=every_pod),
        frozenset(w.name for w in plan.workloads if w.name in routed),
        observed.is_open(plan.service.name),
        starts_at_zero=mode == KNATIVE and await _may_start_at_zero(cluster, plan),
    )


async def _may_start_at_zero(cluster: Cluster, plan: Plan) -> bool:
    """Whether Knative lets revisions begin without a pod; it is asked only where that matters."""
    if not any(asks_for_zero(workload) for workload in plan.workloads):
        return False
    try:
        found = await cluster.remembered.get(KNATIVE_AUTOSCALER, EVERYBODY)
    except (NotFound, Forbidden):
        return False
    return str((found.get("data") or {}).get("allow-zero-initial-scale", "")).lower() == "true"


async def _gather_around(
    cluster: Cluster, settings: Settings, snapshot: Snapshot, plan: Plan, *, every_pod: bool
) -> Surroundings:
    around = Surroundings(
        settings.pods, snapshot.storage_containers or (), service=snapshot.service
    )
    mounting = [w for w in plan.workloads if every_pod or _mounts_models(w)]
    if not mounting:
        return around
    accounts: dict[str, JsonObject] = {}
    secrets: dict[str, JsonObject] = {}
    for workload in mounting:
        spec = workload.template["spec"]
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT_ACCOUNT
        accounts |= await _named(cluster, _ACCOUNTS, snapshot.service, [str(name)])
    wanted = [
        str(ref["name"]) for account in accounts.values() for ref in account.get("secrets") or ()
    ]
    wanted += _named_secrets(settings, plan)
    secrets |= await _named(cluster, _SECRETS, snapshot.service, wanted)
    return replace(around, accounts=accounts, secrets=secrets)


def _mounts_models(workload: Workload) -> bool:
    annotations = workload.template["metadata"].get("annotations") or {}
    return bool(workload.models) and SOURCE_URI not in annotations


def _named_secrets(settings: Settings, plan: Plan) -> list[str]:
    credentials = settings.pods.credentials
    key = credentials.secret_annotation
    annotations = [w.template["metadata"].get("annotations") or {} for w in plan.workloads]
    entries = [credentials.spec_secret] if any(STORAGE_SPEC in a for a in annotations) else []
    return [*entries, *(str(a[key]) for a in annotations if key and a.get(key))]


async def _named(
    cluster: Cluster, resource: str, service: Mapping[str, Any], names: Iterable[str]
) -> dict[str, JsonObject]:
    """Return the objects of these names, of a service's namespace, that are there."""
    namespace = str(service["metadata"]["namespace"])
    found: dict[str, JsonObject] = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = await cluster.remembered.get(Key(resource, namespace, name), service)
        except NotFound:
            continue
    return found


def _by_name(objects: Iterable[Mapping[str, Any]]) -> dict[str, JsonObject]:
    return {str(o["metadata"]["name"]): dict(o) for o in objects}
