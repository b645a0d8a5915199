"""The `why` subresource of every kind but InferenceService: gathering what it is explained from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sampan.api.named_objects import Named, named_objects
from sampan.api.scheme import REGISTRY
from sampan.controllers.gather import Sources
from sampan.controllers.inferencegraph import GRAPHS, gather_graph
from sampan.controllers.unbuilt import REASON_NOT_BUILT_YET, make_unbuilt_warnings
from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import Key
from sampan.plan.chain import ChainLink, derive_chain
from sampan.plan.explain_object import Neighbour, explain_object, is_in_order
from sampan.plan.graph_build import build_graph_plan
from sampan.plan.mends import make_mend
from sampan.plan.observed import Link, LinkState
from sampan.plan.types import graph_key

USING = (
    "inferenceservices.serving.kserve.io",
    "inferencegraphs.serving.kserve.io",
    "trainedmodels.serving.kserve.io",
    "servingruntimes.serving.kserve.io",
    "clusterservingruntimes.serving.kserve.io",
    "serviceaccounts",
)
"""Resources whose objects name others."""

CACHE_LABEL = "internal.serving.kserve.io/localmodel"
"""Label of a service that uses a LocalModelCache: the cache's name."""


async def explain_any(sources: Sources, key: Key) -> JsonObject:
    """Return the explanation of an object, in the form of a service's; raise NotFound.

    `about` is its kind, `links` are what it names, its conditions, and who names it.
    """
    obj = await sources.store.get(key)
    kind = REGISTRY.get(key.resource).kind
    links = explain_object(obj, await _names(sources, obj), await _users(sources, obj, kind))
    links = (*_unbuilt(obj, kind), *await _router(sources, key, obj), *links)
    failing = next((link for link in links if link.state is LinkState.FAILED), None)
    opened = failing or next((link for link in links if link.state is not LinkState.DONE), None)
    return {
        "kind": "Why",
        "apiVersion": "serving.sampan.dev/v1",
        "about": kind,
        "name": key.name,
        "namespace": key.namespace,
        "ready": is_in_order(obj, links),
        "url": str((obj.get("status") or {}).get("url") or ""),
        **_opened(opened, key.name),
        "final": failing is not None,
        "links": [_link(link) for link in links],
    }


def _opened(opened: ChainLink | None, name: str) -> JsonObject:
    if opened is None:
        return {"link": "", "state": "done", "reason": "", "message": "", "mend": ""}
    link = opened.link
    mend = make_mend(opened.name, link.reason, name) if link.state is LinkState.FAILED else ""
    return {
        "link": opened.name,
        "state": link.state.value,
        "reason": link.reason,
        "message": link.message,
        "mend": mend,
    }


def _link(one: ChainLink) -> JsonObject:
    link = one.link
    return {
        "name": one.name,
        "state": link.state.value,
        "reason": link.reason,
        "message": link.message,
    }


def _unbuilt(obj: JsonObject, kind: str) -> Iterator[ChainLink]:
    for text in make_unbuilt_warnings({**obj, "kind": kind}):
        message = text.partition(": ")[2]
        yield ChainLink("controller", Link(LinkState.FAILED, REASON_NOT_BUILT_YET, message))


async def _router(sources: Sources, key: Key, obj: JsonObject) -> tuple[ChainLink, ...]:
    """Return the chain of a graph's router, from its environment to its route."""
    if key.resource != GRAPHS:
        return ()
    snapshot = await gather_graph(sources, obj)
    observed = await sources.platform.observe(graph_key(key.namespace, key.name))
    plan = build_graph_plan(replace(snapshot, observed=observed))
    if plan.blocked:
        blocked = Link(LinkState.FAILED, plan.blocked.reason, plan.blocked.message)
        return (ChainLink("decision", blocked),)
    return derive_chain(plan, observed)


async def _names(sources: Sources, obj: JsonObject) -> list[Neighbour]:
    namespace = str(obj["metadata"].get("namespace") or "")
    found = []
    for named in named_objects(obj):
        resource = _resource(named.kind)
        if resource is None or (resource.namespaced and not namespace):
            continue  # volumes are not stored; a cluster's runtime is used in any namespace
        key = Key(resource.id, namespace if resource.namespaced else "", named.name)
        try:
            found.append(Neighbour(named, await sources.store.get(key)))
        except NotFound:
            found.append(Neighbour(named, None))
    return found


def _resource(kind: str) -> Resource | None:
    return next((r for r in REGISTRY if r.kind == kind), None)


async def _users(sources: Sources, obj: JsonObject, kind: str) -> list[Neighbour]:
    """Return the objects that name this one, in its namespace or, of a cluster's, in any."""
    wanted, namespace = (
        Named(kind, str(obj["metadata"]["name"])),
        str(obj["metadata"].get("namespace") or ""),
    )
    found = []
    for resource in map(REGISTRY.get, USING):
        where = namespace if resource.namespaced else ""
        for user in (await sources.store.list(resource.id, where)).items:
            if _names_it(user, resource.kind, wanted):
                name = str(user["metadata"]["name"])
                found.append(Neighbour(Named(resource.kind, name), user))
    return found


def _names_it(user: Mapping[str, Any], kind: str, wanted: Named) -> bool:
    if wanted.kind in ("LocalModelCache", "LocalModelNamespaceCache"):
        labels = user["metadata"].get("labels") or {}
        return labels.get(CACHE_LABEL) == wanted.name
    predictor = (user.get("spec") or {}).get("predictor") or {}
    if wanted.kind in ("ServingRuntime", "ClusterServingRuntime"):
        asked = (predictor.get("model") or {}).get("runtime")
        chosen = [n.name for n in named_objects({**user, "kind": kind}) if n.kind == wanted.kind]
        return wanted.name in chosen or (not chosen and asked == wanted.name)
    return wanted in named_objects({**user, "kind": kind})
