"""What would change if the operator acted on a cluster now: each service and graph, not applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sampan.api.scheme import REGISTRY
from sampan.machinery.errors import Forbidden
from sampan.machinery.registry import AdmissionContext, JsonObject
from sampan.migration.compare import ChildReport, compare_child, runs_pods
from sampan.migration.survey import Survey
from sampan.operator.applying import describe_missing
from sampan.operator.gather import (
    gather_graph_snapshot,
    gather_snapshot,
    gather_source,
    observe,
)
from sampan.operator.services import Warn
from sampan.operator.settings import CONFIG_MAP
from sampan.plan.build import build_plan, nothing_unbuilt
from sampan.plan.graph import make_resolved_nodes
from sampan.plan.service import deployment_mode
from sampan.plan.types import Blocked, Plan, ServiceKey
from sampan.platforms.kubernetes.children import (
    ChildKey,
    DeleteChild,
    Occupied,
    child_key,
    diff_children,
    settle,
)
from sampan.platforms.kubernetes.kinds import kind_of
from sampan.platforms.kubernetes.render import render, render_graph
from sampan.platforms.kubernetes.source import Source

MODEL_MESH = "ModelMesh"


@dataclass(frozen=True, slots=True)
class OwnerReport:
    """A service or graph: what would become of its objects, and what is to be known of it.

    `blocked` says why it would be left as it is; `refused` what an update of it would be told.
    """

    kind: str
    namespace: str
    name: str
    children: tuple[ChildReport, ...] = ()
    blocked: str = ""
    refused: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything of it would be written differently."""
        return any(child.state not in {"equal", "waits"} for child in self.children)


@dataclass(frozen=True, slots=True)
class Report:
    """The whole. `concerns` are about the cluster, each with what to do."""

    owners: tuple[OwnerReport, ...]
    concerns: tuple[str, ...]

    @property
    def restarts(self) -> int:
        """How many workloads' pods would start anew or end."""
        return sum(child.restarts for owner in self.owners for child in owner.children)

    @property
    def clean(self) -> bool:
        """Whether nothing would change, and nothing stands in the way."""
        return not (self.concerns or any(o.changes or o.blocked for o in self.owners))


async def check(survey: Survey, warn: Warn, now: float) -> Report:
    """Return the report; reads Secrets that some services' templates need."""
    owners = [await _check_service(survey, service, warn, now) for service in survey.services]
    owners += [await _check_graph(survey, graph, now) for graph in survey.graphs]
    return Report(tuple(owners), tuple(find_concerns(survey)))


async def _check_service(
    survey: Survey, service: JsonObject, warn: Warn, now: float
) -> OwnerReport:
    settings, cluster = survey.settings, survey.cluster
    mode = deployment_mode(service, settings.config.default_deployment_mode)
    told = [f"{path}: {text}" for path, text in warn(service, settings.config, settings.cluster)]
    refusal = _refusal(survey, service)
    about = replace(_about(service), refused=refusal, warnings=tuple(told))
    if mode == MODEL_MESH:
        return about
    snapshot = gather_snapshot(cluster, settings, service, now)
    observed = observe(cluster, service, mode)
    plan = build_plan(snapshot, nothing_unbuilt)
    if plan.blocked:
        return replace(about, blocked=f"{plan.blocked.reason}: {plan.blocked.message}")
    source = await gather_source(cluster, settings, snapshot, plan, observed)
    try:
        desired = render(source)
    except Forbidden as refused:
        return replace(about, blocked=refused.message)
    live = await cluster.with_named(observed.children, desired, service)
    return replace(about, children=tuple(_compare(survey, desired, live, service)))


async def _check_graph(survey: Survey, graph: JsonObject, now: float) -> OwnerReport:
    settings, cluster = survey.settings, survey.cluster
    snapshot = gather_graph_snapshot(cluster, settings, graph, now)
    about = _about(graph)
    nodes = make_resolved_nodes(graph, snapshot.services.get, snapshot.runtimes.get)
    if isinstance(nodes, Blocked):
        return replace(about, blocked=f"{nodes.reason}: {nodes.message}")
    metadata = graph["metadata"]
    plan = Plan(ServiceKey(str(metadata["namespace"]), str(metadata["name"])))
    desired = render_graph(Source(graph, plan, settings.config, settings.cluster), nodes)
    live = await cluster.with_named(cluster.children_of(graph), desired, graph)
    return replace(about, children=tuple(_compare(survey, desired, live, graph)))


def _about(obj: JsonObject) -> OwnerReport:
    metadata = obj["metadata"]
    return OwnerReport(str(obj["kind"]), str(metadata["namespace"]), str(metadata["name"]))


def _compare(
    survey: Survey,
    desired: Iterable[JsonObject],
    live: Mapping[ChildKey, JsonObject],
    owner: JsonObject,
) -> Iterator[ChildReport]:
    wanted = {child_key(obj): obj for obj in desired}
    steps = diff_children(wanted.values(), live, owner)
    occupied = {child_key(s.obj): s.message for s in steps if isinstance(s, Occupied)}
    for key, obj in wanted.items():
        kind = kind_of(obj)
        there = live.get(key)
        if kind.resource.id in survey.absent:
            note = describe_missing(kind)
            yield ChildReport(obj["kind"], key[2], "waits", note=note)
        elif key in occupied:
            yield ChildReport(obj["kind"], key[2], "occupied", note=occupied[key])
        else:
            yield compare_child(settle(obj, there) if there else obj, there)
    for step in steps:
        if isinstance(step, DeleteChild):
            name, running = step.obj["metadata"]["name"], runs_pods(step.obj)
            yield ChildReport(step.obj["kind"], name, "deleted", restarts=running)


def _refusal(survey: Survey, service: JsonObject) -> str:
    """Return what admission would say to an update that changes nothing, "" where it lets it."""
    resource = REGISTRY.for_object(service)
    if resource is None or resource.admit is None:
        return ""
    found = survey.cluster.config.get(survey.cluster.namespace, CONFIG_MAP) or {}
    admitted = resource.admit(service, service, AdmissionContext(found.get("data") or {}))
    causes = admitted.errors or admitted.causes
    return "; ".join(str(cause) for cause in causes) or (admitted.denied or "")


def find_concerns(survey: Survey) -> Iterator[str]:
    """Yield what stands in the way of a take-over, each with its mend."""
    namespace = survey.cluster.namespace
    for controller in survey.controllers:
        name = controller["metadata"]["name"]
        if (controller.get("spec") or {}).get("replicas", 1):
            yield (
                f'Deployment "{name}" of namespace "{namespace}" acts on the same objects; scale '
                f"it to zero first: kubectl -n {namespace} scale deployment/{name} --replicas=0"
            )
    if survey.llm_services:
        yield (
            f"{len(survey.llm_services)} LLMInferenceServices are kept and not run by Sampan; "
            "leave KServe's llmisvc controller as it is"
        )
    if survey.model_caches:
        yield (
            f"{len(survey.model_caches)} caches of models (LocalModelCache and of a namespace) are "
            "kept and not filled by Sampan; leave KServe's localmodel controller and agents as "
            "they are, or remove the caches: services then fetch for themselves"
        )
    if not survey.cluster.config.get(namespace, CONFIG_MAP):
        yield (
            f'namespace "{namespace}" has no ConfigMap "{CONFIG_MAP}", so that defaults would be '
            'used; name the namespace of the installation with "-n"'
        )
