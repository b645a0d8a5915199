"""The InferenceGraph controller: a router for each graph, told where its steps lead.

gather → plan → render → diff → apply → observe → derive status → one status write, as for an
InferenceService. A change of a service wakes the graphs that name it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sampan.controllers.autoscaling import Autoscaling
from sampan.controllers.gather import (
    CLUSTER_RUNTIMES,
    CONFIG,
    RUNTIMES,
    SERVICES,
    Sources,
    gather_config,
)
from sampan.machinery.controller import Result, key_of
from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.events import EventRecorder
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.plan.graph_build import GraphSnapshot, build_graph_plan, service_names
from sampan.plan.graph_status import derive_graph_events, derive_graph_status
from sampan.plan.observed import NOTHING, Observed
from sampan.plan.service import deployment_mode
from sampan.plan.types import Plan, ServiceKey, graph_key

GRAPHS = "inferencegraphs.serving.kserve.io"


class Graphs:
    """The graphs seen so far, to tell which of them another resource touches."""

    def __init__(self) -> None:
        self._seen: dict[Key, JsonObject] = {}

    def note(self, graph: JsonObject) -> list[Key]:
        """Remember a graph as it is; return the graphs that enter it."""
        key = key_of(GRAPHS, graph)
        self._seen[key] = graph
        return [other for other in self.naming(graph) if other != key]

    def naming(self, service: JsonObject) -> list[Key]:
        """Return the graphs that name a service, or a graph, and the one of the same name."""
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        return [
            key
            for key, graph in self._seen.items()
            if key.namespace == namespace and (name in service_names(graph) or key.name == name)
        ]

    def configured(self, config_map: JsonObject) -> list[Key]:
        """Return every graph when the operator's configuration changed."""
        return list(self._seen) if config_map["metadata"]["name"] == CONFIG.name else []

    def every(self, _: JsonObject) -> list[Key]:
        """Return every graph: any of them may be touched."""
        return list(self._seen)


async def gather_graph(sources: Sources, graph: JsonObject) -> GraphSnapshot:
    """Return the snapshot of a graph that may not be stored yet, with nothing observed of it."""
    namespace = graph["metadata"].get("namespace") or "default"
    services = await sources.store.list(SERVICES, namespace)
    cluster_runtimes = await sources.store.list(CLUSTER_RUNTIMES)
    runtimes = await sources.store.list(RUNTIMES, namespace)
    graphs = await sources.store.list(GRAPHS, namespace)
    return GraphSnapshot(
        graph=graph,
        services=_by_name(services.items),
        runtimes={**_by_name(cluster_runtimes.items), **_by_name(runtimes.items)},
        config=await gather_config(sources),
        gateway=sources.gateway,
        observed=NOTHING,
        now=sources.clock.now(),
        scales=sources.scales(graph_key(namespace, graph["metadata"]["name"])),
        graphs=_by_name(graphs.items),
    )


class InferenceGraphController:
    """Brings one InferenceGraph at a time from what is observed to what is planned."""

    def __init__(self, sources: Sources, recorder: EventRecorder, autoscaling: Autoscaling) -> None:
        self._sources = sources
        self._store = sources.store
        self._platform = sources.platform
        self._recorder = recorder
        self._autoscaling = autoscaling

    async def reconcile(self, key: Key) -> Result:
        """Take the next steps for one graph; raises nothing that a retry would not mend."""
        service = graph_key(key.namespace, key.name)
        try:
            graph = await self._store.get(key)
        except NotFound:
            return await self._remove(service)
        return await self._converge(service, graph)

    async def _converge(self, service: ServiceKey, graph: JsonObject) -> Result:
        snapshot = await gather_graph(self._sources, graph)
        snapshot = replace(snapshot, observed=await self._platform.observe(service))
        snapshot, plan = self._plan(snapshot)
        wake_at = await self._step(service, plan, snapshot.observed)
        observed = await self._platform.observe(service)
        await self._write_status(replace(snapshot, observed=observed), plan, observed)
        return Result(wake_at or None)

    def _plan(self, snapshot: GraphSnapshot) -> tuple[GraphSnapshot, Plan]:
        """Return what should run; made anew where its autoscaler wants another size of it."""
        plan = build_graph_plan(snapshot)
        mode = deployment_mode(snapshot.graph, snapshot.config.default_deployment_mode)
        scales = self._autoscaling.note(plan, snapshot.observed, mode)
        if scales == snapshot.scales:
            return snapshot, plan
        snapshot = replace(snapshot, scales=scales)
        return snapshot, build_graph_plan(snapshot)

    async def _step(self, service: ServiceKey, plan: Plan, observed: Observed) -> float:
        """Render, diff and apply; returns when to look again though nothing changes (0: never).

        A blocked plan renders to a hold: a router that runs goes on.
        """
        platform = self._platform
        difference = platform.diff(platform.render(plan), observed, self._sources.clock.now())
        for step in difference.steps:
            await platform.apply(service, step)
        return difference.wake_at

    async def _write_status(self, snapshot: GraphSnapshot, plan: Plan, observed: Observed) -> None:
        graph = dict(snapshot.graph)
        before = graph.get("status") or {}
        after = derive_graph_status(snapshot, plan, observed)
        if after == before:
            return
        try:
            await self._store.update_status(GRAPHS, {**graph, "status": after})
        except (Conflict, NotFound):
            return  # changed meanwhile: that change is reconciled next
        for event in derive_graph_events(graph["metadata"]["name"], before, after):
            await self._recorder.record(graph, event)

    async def _remove(self, service: ServiceKey) -> Result:
        gone = Plan(service=service, stopped=True)
        self._autoscaling.note(gone, NOTHING, "")
        return Result(
            await self._step(service, gone, await self._platform.observe(service)) or None
        )


def _by_name(objects: Iterable[JsonObject]) -> dict[str, JsonObject]:
    return {obj["metadata"]["name"]: obj for obj in objects}
