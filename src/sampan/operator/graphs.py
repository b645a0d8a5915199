"""The InferenceGraphs of a cluster: a router for each, told where its steps lead."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from sampan.machinery.controller import Result
from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.gather import gather_graph_snapshot
from sampan.operator.own_admission import judge
from sampan.operator.services import RETRY_SECONDS, Parts
from sampan.plan.events import PlannedEvent
from sampan.plan.graph import make_resolved_nodes
from sampan.plan.graph_build import NAME_TAKEN, GraphSnapshot, build_graph_plan
from sampan.plan.graph_status import derive_graph_events
from sampan.plan.types import Blocked, Plan, ServiceKey
from sampan.platforms.kubernetes.children import diff_children
from sampan.platforms.kubernetes.render import render_graph
from sampan.platforms.kubernetes.source import Source
from sampan.platforms.kubernetes.status.graph import derive_cluster_graph_status
from sampan.platforms.kubernetes.status.observed import ClusterObserved

GRAPHS = "inferencegraphs.serving.kserve.io"


class GraphReconciler:
    """Brings one InferenceGraph at a time to what is planned."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._cluster = parts.cluster

    async def reconcile(self, key: Key) -> Result:
        """Take the next steps; raises what a retry may mend."""
        graph = self._cluster.own["inferencegraphs"].get(key.namespace, key.name)
        if graph is None or graph["metadata"].get("deletionTimestamp"):
            return Result()  # Kubernetes collects what it controls
        settings = self._parts.settings.read()
        now = self._parts.clock.now()
        refusal = ""
        if self._parts.alone:
            graph, refusal = judge(graph, self._parts.settings.data())
        snapshot = gather_graph_snapshot(self._cluster, settings, graph, now)
        plan = _make_refused(key, refusal) if refusal else _make_plan(snapshot)
        source = Source(graph, plan, settings.config, settings.cluster)
        observed = ClusterObserved(self._cluster.children_of(graph))
        events: tuple[PlannedEvent, ...] = ()
        if not source.plan.blocked:
            observed, events = await self._step(source, snapshot, observed)
        await self._write_status(source, snapshot, observed, events)
        return Result(now + RETRY_SECONDS if observed.failures else None)

    async def _step(
        self, source: Source, snapshot: GraphSnapshot, observed: ClusterObserved
    ) -> tuple[ClusterObserved, tuple[PlannedEvent, ...]]:
        nodes = make_resolved_nodes(source.service, snapshot.services.get, snapshot.runtimes.get)
        desired = () if isinstance(nodes, Blocked) else render_graph(source, nodes)
        live = await self._cluster.with_named(observed.children, desired, source.service)
        taken = await self._parts.applier.take(diff_children(desired, live, source.service), live)
        children = self._cluster.children_of(source.service)
        return ClusterObserved(children, failures=taken.failures), taken.events

    async def _write_status(
        self,
        source: Source,
        snapshot: GraphSnapshot,
        observed: ClusterObserved,
        events: tuple[PlannedEvent, ...],
    ) -> None:
        graph: JsonObject = dict(source.service)
        before = dict(graph.get("status") or {})
        after = derive_cluster_graph_status(source, snapshot, observed)
        if after != before:
            with suppress(NotFound):  # deleted meanwhile: that change is looked at next
                made = await self._cluster.store.update_status(GRAPHS, {**graph, "status": after})
                self._cluster.own["inferencegraphs"].assume(made)
        for event in (*derive_graph_events(source.name, before, after), *events):
            await self._parts.recorder.record(graph, event)


def _make_refused(key: Key, refusal: str) -> Plan:
    """Return the plan of a graph that admission would have refused."""
    blocked = Blocked("ReconcileFailed", refusal)
    return Plan(ServiceKey(key.namespace, key.name), blocked=blocked)


def _make_plan(snapshot: GraphSnapshot) -> Plan:
    """Return the decisions about a graph; its objects are rendered without a workload.

    A service of the same name is no obstacle here: their objects have names of their own, and where
    they do not (Knative mode) the name is found to be taken when it is applied.
    """
    made = build_graph_plan(snapshot)
    metadata = snapshot.graph["metadata"]
    key = ServiceKey(str(metadata["namespace"]), str(metadata["name"]))
    blocked = made.blocked
    if blocked is not None and blocked.reason == NAME_TAKEN:
        others = {k: v for k, v in snapshot.services.items() if k != key.name}
        blocked = build_graph_plan(replace(snapshot, services=others)).blocked
    return Plan(key, blocked=blocked, stopped=made.stopped)
