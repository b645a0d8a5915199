"""The objects of a cluster made from files alone: by the same rules, without a server.

Runtimes and `inferenceservice-config` are taken from the files where they are there, else those
that are shipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sampan.api.config import CONFIG_MAP, Config, parse_config
from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import shipped_runtimes
from sampan.app.cluster_effects import cluster_warnings
from sampan.app.offline_admission import describe_unknown_kind
from sampan.app.offline_graph import Neighbours, render_offline_graph
from sampan.machinery.errors import Forbidden
from sampan.machinery.registry import AdmissionContext, JsonObject
from sampan.plan.build import build_plan, nothing_unbuilt
from sampan.plan.observed import NOTHING
from sampan.plan.service import DEPLOYMENT_MODE, deployment_mode
from sampan.plan.types import Blocked, Gateway, Plan, ServiceKey, Snapshot
from sampan.platforms.kubernetes.pods.settings import parse_pod_settings
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.platforms.kubernetes.render import render
from sampan.platforms.kubernetes.settings import ClusterSettings, parse_settings
from sampan.platforms.kubernetes.source import Source

GRAPH = "InferenceGraph"
SERVICE, RUNTIME, CLUSTER_RUNTIME = "InferenceService", "ServingRuntime", "ClusterServingRuntime"
SECRET, ACCOUNT, STORAGE_CONTAINER = "Secret", "ServiceAccount", "ClusterStorageContainer"
_LOCAL = "is not honoured here"
"""In a warning: of this machine's platform. A cluster's objects do honour those settings."""
_READ = frozenset(
    {SERVICE, RUNTIME, CLUSTER_RUNTIME, "ConfigMap", SECRET, ACCOUNT, STORAGE_CONTAINER}
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with, or to be said about, the object at `number` of those given.

    `path` is the field that it is about, "" for the whole object.
    """

    number: int
    path: str
    text: str


@dataclass(slots=True)
class Outcome:
    """The objects made, the mistakes because of which none are, and sentences to pass on."""

    objects: list[JsonObject] = field(default_factory=list)
    mistakes: list[Trouble] = field(default_factory=list)
    notes: list[Trouble] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What a service is planned among."""

    data: Mapping[str, str]
    config: Config
    settings: ClusterSettings
    pods: Surroundings
    services: tuple[JsonObject, ...]
    runtimes: tuple[JsonObject, ...]
    cluster_runtimes: tuple[JsonObject, ...]


def render_offline(objects: Sequence[JsonObject], mode: str = "") -> Outcome:
    """Return the Kubernetes objects of all InferenceServices and InferenceGraphs in `objects`.

    `mode` stands before what the services and the configuration say. Every mistake of every object
    is found; with any, no object is made.
    """
    outcome = Outcome()
    data = _configuration(objects, mode)
    admitted = {
        number: kept
        for number, obj in enumerate(objects)
        if (kept := _admit(number, _in_mode(obj, mode), data, outcome)) is not None
    }
    if any(objects[m.number].get("kind") == "ConfigMap" for m in outcome.mistakes):
        return outcome  # what would be made by another configuration is not what is asked for
    around = _surroundings(data, admitted.values())
    for number, obj in admitted.items():
        outcome.notes += _without_effect(number, obj, around)
        if obj["kind"] == SERVICE:
            outcome.objects += _render(number, obj, around, outcome)
        elif obj["kind"] == GRAPH:
            outcome.objects += _render_graph(number, obj, around, outcome)
        elif obj["kind"] not in _READ:
            text = 'no objects of a cluster are made of this kind; "sampan lint" says what it does'
            outcome.notes.append(Trouble(number, "", text))
    if outcome.mistakes:
        outcome.objects = []
    return outcome


def _configuration(objects: Iterable[JsonObject], mode: str) -> dict[str, str]:
    maps = (o for o in objects if o.get("kind") == "ConfigMap")
    found = next((o.get("data") for o in maps if _name(o) == CONFIG_MAP), None)
    given = found if isinstance(found, dict) else {}
    # What is no text is a mistake of the ConfigMap, which is told of it.
    data = {key: text for key, text in given.items() if isinstance(text, str)}
    if mode:
        data["deploy"] = json.dumps({"defaultDeploymentMode": mode})
        # A ConfigMap without this key turns tokens off; where there is none at all they are on.
        data.setdefault("security", '{"autoMountServiceAccountToken": true}')
    return data


def _name(obj: JsonObject) -> object:
    metadata = obj.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


def _in_mode(obj: JsonObject, mode: str) -> JsonObject:
    """The object without what says in which mode it runs: `--mode` decides."""
    metadata = obj.get("metadata")
    if not mode or obj.get("kind") not in (SERVICE, GRAPH) or not isinstance(metadata, dict):
        return obj
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        kept = {k: v for k, v in annotations.items() if k != DEPLOYMENT_MODE}
        metadata = {**metadata, "annotations": kept}
    return {k: v for k, v in {**obj, "metadata": metadata}.items() if k != "status"}


def _admit(
    number: int, obj: JsonObject, data: Mapping[str, str], outcome: Outcome
) -> JsonObject | None:
    resource = REGISTRY.for_object(obj)
    if resource is None:
        text = describe_unknown_kind(str(obj.get("apiVersion")), str(obj.get("kind")))
        outcome.mistakes.append(Trouble(number, "", text))
        return None
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        outcome.mistakes.append(Trouble(number, "metadata", "metadata.name is missing; give one"))
        return None
    if resource.namespaced:
        # A namespace of null or "" is none: the server would put its own in that place.
        namespace = metadata.get("namespace") or "default"
        obj = {**obj, "metadata": {**metadata, "namespace": namespace}}
    unknown = resource.unknown(obj) if resource.unknown else []
    outcome.mistakes += [Trouble(number, e.path, e.message) for e in unknown]
    if resource.admit is None:
        return obj
    found = resource.admit(obj, None, AdmissionContext(data))
    causes = found.errors or found.causes
    outcome.mistakes += [Trouble(number, c.path, str(c)) for c in causes]
    if found.denied and not causes:
        outcome.mistakes.append(Trouble(number, "", found.denied))
    outcome.notes += [Trouble(number, "", text) for text in found.warnings if _LOCAL not in text]
    return None if causes or found.denied else found.obj


def _without_effect(number: int, obj: JsonObject, around: _Surroundings) -> Iterator[Trouble]:
    """Tell of fields that no object shows; of a kind of which none is made that is told once."""
    if obj["kind"] in (*_READ, GRAPH):
        for path, sentence in cluster_warnings(obj, around.config, around.settings):
            yield Trouble(number, path, f"{path}: {sentence}")


def _surroundings(data: Mapping[str, str], objects: Iterable[JsonObject]) -> _Surroundings:
    given = list(objects)
    own = [o for o in given if o["kind"] == CLUSTER_RUNTIME]
    names = {o["metadata"]["name"] for o in own}
    shipped = [o for o in shipped_runtimes() if o["metadata"]["name"] not in names]
    return _Surroundings(
        data,
        parse_config(data or None).config,
        parse_settings(data),
        _pod_surroundings(data, given),
        tuple(o for o in given if o["kind"] == SERVICE),
        tuple(o for o in given if o["kind"] == RUNTIME),
        (*own, *shipped),
    )


def _pod_surroundings(data: Mapping[str, str], objects: Sequence[JsonObject]) -> Surroundings:
    """Of the files too: Secrets and accounts of any namespace, for they are rarely given at all."""
    by_kind = {
        kind: {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}
        for kind in (SECRET, ACCOUNT, STORAGE_CONTAINER)
    }
    return Surroundings(
        parse_pod_settings(data),
        tuple(by_kind[STORAGE_CONTAINER].values()),
        secrets=by_kind[SECRET],
        accounts=by_kind[ACCOUNT],
    )


def _render(
    number: int, service: JsonObject, around: _Surroundings, outcome: Outcome
) -> tuple[JsonObject, ...]:
    namespace = service["metadata"]["namespace"]
    near = tuple(r for r in around.runtimes if r["metadata"]["namespace"] == namespace)
    snapshot = Snapshot(
        service,
        near,
        around.cluster_runtimes,
        around.config,
        Gateway(),
        NOTHING,
        now=0.0,
        # None in the files says nothing of the cluster's: KServe's own is taken to be there.
        storage_containers=around.pods.storage_containers or None,
    )
    plan = build_plan(snapshot, nothing_unbuilt)
    if deployment_mode(service, around.config.default_deployment_mode) == "ModelMesh":
        text = "in ModelMesh mode ModelMesh's own controller runs the model; no objects are made"
        outcome.notes.append(Trouble(number, "", text))
        return ()
    if plan.blocked:
        text = f"{plan.blocked.reason}: {plan.blocked.message}"
        outcome.mistakes.append(Trouble(number, "", text))
        return ()
    ready = frozenset(w.name for w in plan.workloads)
    source = Source(service, plan, around.config, around.settings, ready, around.pods)
    try:
        return render(source)
    except Forbidden as refused:
        outcome.mistakes.append(Trouble(number, "", refused.message))
        return ()


def _render_graph(
    number: int, graph: JsonObject, around: _Surroundings, outcome: Outcome
) -> tuple[JsonObject, ...]:
    def assumed(name: str) -> None:
        text = f'InferenceService "{name}" is not among the files; it is taken to speak V1'
        outcome.notes.append(Trouble(number, "", text))

    plan = Plan(ServiceKey(graph["metadata"]["namespace"], graph["metadata"]["name"]))
    source = Source(graph, plan, around.config, around.settings)
    runtimes = (*around.cluster_runtimes, *around.runtimes)
    made = render_offline_graph(source, Neighbours(around.services, runtimes, assumed))
    if isinstance(made, Blocked):
        outcome.mistakes.append(Trouble(number, "", f"{made.reason}: {made.message}"))
        return ()
    return made


def as_list(objects: Sequence[JsonObject]) -> dict[str, Any]:
    """Return objects as one `v1` List."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": list(objects)}
