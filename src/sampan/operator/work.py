"""The work queue of the operator: what a change touches, who looks at it, and how failures wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeAlias

from sampan.machinery.clock import Clock
from sampan.machinery.controller import Reconcile, Result, WorkerOptions
from sampan.machinery.errors import Unauthorized
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.machinery.workers import Workers
from sampan.operator.cache import owner_of, unpacked
from sampan.operator.cluster import SERVICE_LABEL, Cluster
from sampan.operator.connection import Unavailable
from sampan.operator.finalizing import SERVICES
from sampan.operator.graphs import GRAPHS
from sampan.operator.spans import MakeSpan, no_span
from sampan.plan.graph_build import service_names
from sampan.plan.service import model
from sampan.plan.trained_model import PARENT_LABEL, parent_of

log = logging.getLogger(__name__)

OPTIONS = WorkerOptions(workers=16)
"""A reconcile is calls in a row: sixteen at once keep the API server busy and not overwhelmed."""
FIRST_WAIT, LONGEST_WAIT = 0.01, 30.0
"""Seconds between tries of an API server that does not answer, doubling from try to try."""

_RESOURCES = {"InferenceService": SERVICES, "InferenceGraph": GRAPHS}


Took: TypeAlias = Callable[[str, float, bool], None]
"""Told of each reconcile: the resource, its seconds, and whether it failed. For metrics."""


class Work:
    """One queue for services and graphs alike."""

    def __init__(
        self, cluster: Cluster, clock: Clock, reconcilers: Mapping[str, Reconcile]
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._reconcilers = reconcilers
        self._waits: dict[Key, int] = {}
        self._graphs_of: dict[Key, frozenset[Key]] = {}
        self._workers: Workers | None = None
        self.took: Took = lambda _kind, _seconds, _failed: None
        self.span: MakeSpan = no_span
        self._looked_at: Callable[[Key], None] = lambda _: None

    async def run(self) -> None:
        """Look at everything once, then at what changes, until cancelled."""
        self._waits.clear()
        self._workers = Workers(self._clock, self._reconcile, OPTIONS)
        try:
            self.add_all()
            await self._workers.run()
        finally:
            self._workers = None

    def add_all(self, _: JsonObject | None = None) -> None:
        """Look at every service and graph: any of them may be touched."""
        for plural, resource in (("inferenceservices", SERVICES), ("inferencegraphs", GRAPHS)):
            for place in self._cluster.own[plural].places():
                self._add(Key(resource, *place))
        models = self._cluster.own["trainedmodels"]
        for place in models.places():  # some may be for services that are not there
            self._add_parents(models.get(*place) or {})

    def add_service(self, trimmed: JsonObject) -> None:
        """Look at a service that changed, and at the graphs that name it."""
        key = _key(SERVICES, trimmed)
        self._add(key)
        for graph, named in list(self._graphs_of.items()):
            if key in named:
                self._add(graph)

    def add_graph(self, trimmed: JsonObject) -> None:
        """Look at a graph that changed; remember which services it names."""
        key = _key(GRAPHS, trimmed)
        if self._cluster.own["inferencegraphs"].get(key.namespace, key.name) is None:
            self._graphs_of.pop(key, None)
        else:
            names = service_names(unpacked(trimmed))
            self._graphs_of[key] = frozenset(Key(SERVICES, key.namespace, n) for n in names)
        self._add(key)

    def add_owner(self, trimmed: JsonObject) -> None:
        """Look at the service or graph that controls a changed object."""
        owner = owner_of(unpacked(trimmed))
        if owner is not None and owner[0] in _RESOURCES:
            namespace = str(trimmed["metadata"].get("namespace", ""))
            self._add(Key(_RESOURCES[owner[0]], namespace, owner[1]))

    def add_pod(self, trimmed: JsonObject) -> None:
        """Look at the service of a pod."""
        metadata = unpacked(trimmed)["metadata"]
        name = (metadata.get("labels") or {}).get(SERVICE_LABEL)
        if name:
            self._add(Key(SERVICES, str(metadata.get("namespace", "")), str(name)))

    def add_model(self, trimmed: JsonObject) -> None:
        """Look at the service of a model, and at that which it was for before."""
        self._add_parents(unpacked(trimmed))

    def _add_parents(self, model: JsonObject) -> None:
        metadata = model.get("metadata") or {}
        before = (metadata.get("labels") or {}).get(PARENT_LABEL)
        for parent in {parent_of(model), before} - {None, ""}:
            self._add(Key(SERVICES, str(metadata.get("namespace", "")), str(parent)))

    def add_users(self, trimmed: JsonObject) -> None:
        """Look at the services that run on a runtime, or may from now on, and at all graphs."""
        runtime = unpacked(trimmed)
        namespace = runtime["metadata"].get("namespace")
        cache = self._cluster.own["inferenceservices"]
        for place in cache.places():
            if namespace and place[0] != namespace:
                continue
            service = cache.get(*place)
            if service is not None and _may_use(service, runtime):
                self._add(Key(SERVICES, *place))
        for place in self._cluster.own["inferencegraphs"].places():
            self._add(Key(GRAPHS, *place))

    def _add(self, key: Key) -> None:
        if self._workers is not None:
            self._workers.queue.add(key)

    async def _reconcile(self, key: Key) -> Result:
        """Reconcile one object. An API server that does not answer is waited for, and not told of
        by a stack trace for each object.
        """
        began, failed = time.monotonic(), True
        try:
            with self.span(f"reconcile {key.resource.partition('.')[0]}", _attributes(key)):
                result = await self._reconcilers[key.resource](key)
            failed = False
        except (Unavailable, Unauthorized) as error:
            return self._wait(key, error)
        finally:
            self.took(key.resource, time.monotonic() - began, failed)
        self._waits.pop(key, None)
        return result

    @property
    def remembered(self) -> int:
        """Of how many objects something is kept: which graphs name what, who waits for answers."""
        return len(self._graphs_of) + len(self._waits)

    @property
    def waiting(self) -> int:
        """How many objects are to be looked at."""
        return len(self._workers.queue) if self._workers is not None else 0

    def _wait(self, key: Key, error: Unavailable | Unauthorized) -> Result:
        tries = self._waits.get(key, 0)
        self._waits[key] = tries + 1
        asked = getattr(error, "retry_after", 0.0)
        delay = max(asked, min(FIRST_WAIT * 2.0 ** min(tries, 16), LONGEST_WAIT))
        log.warning(
            "%s/%s waits %.3g s for the API server: %s",
            key.namespace, key.name, delay, error.message,
        )  # fmt: skip
        return Result(self._clock.now() + delay)


def select_teller(work: Work, plural: str) -> Callable[[JsonObject], None]:
    """Return what is told of the changes of one of KServe's kinds. Pure."""
    tellers: Mapping[str, Callable[[JsonObject], None]] = {
        "inferenceservices": work.add_service,
        "inferencegraphs": work.add_graph,
        "servingruntimes": work.add_users,
        "clusterservingruntimes": work.add_users,
        "clusterstoragecontainers": partial(work.add_all),
        "trainedmodels": work.add_model,
    }
    return tellers[plural]


def _key(resource: str, trimmed: JsonObject) -> Key:
    metadata = trimmed["metadata"]
    return Key(resource, str(metadata.get("namespace", "")), str(metadata["name"]))


def _attributes(key: Key) -> Mapping[str, str]:
    return {"k8s.namespace.name": key.namespace, "sampan.object.name": key.name}


def _may_use(service: JsonObject, runtime: JsonObject) -> bool:
    """Whether a service runs on a runtime, has found none, or would select one for its format."""
    status = service.get("status") or {}
    found = {status.get("servingRuntimeName"), status.get("clusterServingRuntimeName")} - {None, ""}
    if not found or runtime["metadata"]["name"] in found:
        return True
    wanted = model(service) or {}
    formats = runtime["spec"].get("supportedModelFormats") or ()
    name = (wanted.get("modelFormat") or {}).get("name")
    return not wanted.get("runtime") and any(f.get("name") == name for f in formats)


def followed_plurals() -> Iterable[str]:
    """Return KServe's kinds whose changes matter."""
    return (
        "inferenceservices",
        "inferencegraphs",
        "servingruntimes",
        "clusterservingruntimes",
        "clusterstoragecontainers",
        "trainedmodels",
    )
