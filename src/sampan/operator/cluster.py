"""What the operator knows of the cluster, and by which it writes: the caches and the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.api.scheme import REGISTRY as SCHEME
from sampan.machinery.clock import SystemClock
from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject, Registry, Resource
from sampan.machinery.store import Key
from sampan.operator.cache import Cache, keep_of_child, make_trim
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.following import Following
from sampan.operator.remembered import Remembered
from sampan.plan.trained_model import parent_of
from sampan.platforms.kubernetes.children import ChildKey, child_key
from sampan.platforms.kubernetes.kinds import (
    CHILD_KINDS,
    ENDPOINT_SLICES,
    LEASES,
    PODS,
    kind_of,
)
from sampan.platforms.kubernetes.status.pods import keep_of_pod

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
SERVING = "serving.kserve.io"

OWN = {
    plural: SCHEME.get(f"{plural}.{SERVING}")
    for plural in (
        "inferenceservices",
        "inferencegraphs",
        "servingruntimes",
        "clusterservingruntimes",
        "clusterstoragecontainers",
        "trainedmodels",
    )
}
"""KServe's kinds that the operator reads."""

_ALL = (*SCHEME, *(k.resource for k in CHILD_KINDS), PODS, LEASES, ENDPOINT_SLICES)
RESOURCES = Registry(tuple({r.id: r for r in _ALL}.values()))
"""Every kind that is asked for, by id."""

SELECTORS = {PODS.id: SERVICE_LABEL}


def pod_index(pod: JsonObject) -> str:
    """Return by what a pod is found: the service that it belongs to. Pure."""
    metadata = pod["metadata"]
    return (
        f"{metadata.get('namespace', '')}/{(metadata.get('labels') or {}).get(SERVICE_LABEL, '')}"
    )


def model_index(model: JsonObject) -> str:
    """Return by what a TrainedModel is found: the service that it is for. Pure."""
    return f"{model['metadata'].get('namespace', '')}/{parent_of(model)}"


def _own_caches() -> dict[str, Cache]:
    return {plural: Cache() for plural in OWN} | {
        "trainedmodels": Cache(make_trim(index=model_index))
    }


def _child_caches() -> dict[str, Cache]:
    return {k.resource.id: Cache(make_trim(keep_of_child)) for k in CHILD_KINDS}


@dataclass(slots=True)
class Cluster:
    """The caches by resource, and the store behind them. `config` is of the operator's namespace.

    `absent` are the kinds of which services would be made and that the cluster does not have.
    """

    store: ClusterStore
    namespace: str = "kserve"
    children: dict[str, Cache] = field(default_factory=_child_caches)
    pods: Cache = field(default_factory=lambda: Cache(make_trim(keep_of_pod, pod_index)))
    own: dict[str, Cache] = field(default_factory=_own_caches)
    config: Cache = field(default_factory=Cache)
    followings: dict[str, Following] = field(default_factory=dict)
    remembered: Remembered = field(init=False)

    def __post_init__(self) -> None:
        self.remembered = Remembered(self.store, SystemClock())

    def is_absent(self, kind: Resource) -> bool:
        """Return whether the cluster lacks a kind."""
        following = self.followings.get(kind.id)
        return following is not None and not following.present

    def children_of(self, owner: Mapping[str, Any]) -> dict[ChildKey, JsonObject]:
        """Return the objects that an object controls."""
        uid = str(owner["metadata"].get("uid", ""))
        return {
            child_key(obj): obj for cache in self.children.values() for obj in cache.indexed(uid)
        }

    async def with_named(
        self,
        live: Mapping[ChildKey, JsonObject],
        desired: Iterable[JsonObject],
        owner: Mapping[str, Any],
    ) -> dict[ChildKey, JsonObject]:
        """Return `live` and the objects of the rendered ones' names, whoever controls them.

        ConfigMaps are not followed, for there are many of other people's: those are remembered.
        """
        found = dict(live)
        for obj in desired:
            if child_key(obj) not in found:
                named = await self._named_as(obj, owner)
                if named is not None:
                    found[child_key(obj)] = named
        return found

    async def _named_as(self, obj: JsonObject, owner: Mapping[str, Any]) -> JsonObject | None:
        key = key_of_child(obj)
        cache = self.children.get(key.resource)
        if cache is not None:
            return cache.get(key.namespace, key.name)
        try:
            return await self.remembered.get(key, owner)
        except NotFound:
            return None

    def pods_of(self, namespace: str, service: str, app: str) -> tuple[JsonObject, ...]:
        """Return the pods of a service that bear `app` as a label's value; newest first."""
        found = [p for p in self.pods.indexed(f"{namespace}/{service}") if _bears(p, app)]
        return tuple(sorted(found, key=_age, reverse=True))

    def assume(self, obj: JsonObject) -> None:
        """Take in the answer of a write of a child."""
        cache = self.children.get(kind_of(obj).resource.id)
        if cache is not None:
            cache.assume(obj)
        else:
            self.remembered.assume(key_of_child(obj), obj)

    def sources(self) -> Iterator[Cache]:
        """Yield every cache."""
        yield from (*self.own.values(), *self.children.values(), self.pods, self.config)


def key_of_child(obj: Mapping[str, Any]) -> Key:
    """Return the store's key of a rendered object. Pure."""
    metadata = obj["metadata"]
    return Key(kind_of(dict(obj)).resource.id, metadata["namespace"], metadata["name"])


def _bears(pod: Mapping[str, Any], label: str) -> bool:
    return label in ((pod["metadata"].get("labels") or {}).values())


def _age(pod: Mapping[str, Any]) -> tuple[str, str]:
    return str(pod["metadata"].get("creationTimestamp", "")), str(pod["metadata"]["name"])
