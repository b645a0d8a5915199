"""Reading a cluster once, as the operator would know it: every list, and no watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import Key
from sampan.operator.cache import Cache
from sampan.operator.cluster import OWN, Cluster
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.settings import Settings, SettingsReader
from sampan.platforms.kubernetes.kinds import CHILD_KINDS, CONFIG_MAPS, DEPLOYMENTS, PODS

CONTROLLERS = ("kserve-controller-manager",)
"""KServe's Deployments that act on the same objects."""
LLM = "llminferenceservices.serving.kserve.io"
CACHES = (
    "localmodelcaches.serving.kserve.io",
    "localmodelnamespacecaches.serving.kserve.io",
)


@dataclass(frozen=True, slots=True)
class Survey:
    """What was read. `absent` are ids of kinds that the cluster does not have."""

    cluster: Cluster
    settings: Settings
    absent: frozenset[str]
    services: tuple[JsonObject, ...]
    graphs: tuple[JsonObject, ...]
    llm_services: tuple[JsonObject, ...]
    model_caches: tuple[JsonObject, ...]
    controllers: tuple[JsonObject, ...]


async def gather_survey(store: ClusterStore, namespace: str) -> Survey:
    """Read everything that decisions are made from; raises ApiError for what may not be read."""
    cluster = Cluster(store, namespace)
    absent: set[str] = set()
    for resource, cache, inside in _followed(cluster):
        try:
            page = await store.list(resource.id, inside)
        except NotFound:
            absent.add(resource.id)
            continue
        for obj in page.items:
            cache.note(None, cache.trim(obj))
    settings = SettingsReader(cluster.config, namespace).read()
    return Survey(
        cluster,
        settings,
        frozenset(absent),
        _all(cluster.own["inferenceservices"]),
        _all(cluster.own["inferencegraphs"]),
        await _list(store, LLM),
        tuple([cache for kind in CACHES for cache in await _list(store, kind)]),
        await _gather_controllers(store, namespace),
    )


def _followed(cluster: Cluster) -> Iterator[tuple[Resource, Cache, str]]:
    for plural, resource in OWN.items():
        yield resource, cluster.own[plural], ""
    for kind in CHILD_KINDS:
        yield kind.resource, cluster.children[kind.resource.id], ""
    yield PODS, cluster.pods, ""
    yield CONFIG_MAPS, cluster.config, cluster.namespace


def _all(cache: Cache) -> tuple[JsonObject, ...]:
    found = (cache.get(*place) for place in sorted(cache.places()))
    return tuple(obj for obj in found if obj is not None)


async def _gather_controllers(store: ClusterStore, namespace: str) -> tuple[JsonObject, ...]:
    found = []
    for name in CONTROLLERS:
        with suppress(NotFound):
            found.append(await store.get(Key(DEPLOYMENTS.id, namespace, name)))
    return tuple(found)


async def _list(store: ClusterStore, resource: str) -> tuple[JsonObject, ...]:
    try:
        return tuple((await store.list(resource)).items)
    except NotFound:
        return ()
