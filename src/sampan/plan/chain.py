"""The way of a template to Ready, link by link, as it was observed.

download, environment, process, load, ready of each component, the predictor first, then route. Each
link is about the template that the plan asks for; replicas of an older template may serve
meanwhile. Status, events and explanations all read the same chain, so they never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sampan.plan.idle import make_idle_link
from sampan.plan.observed import (
    Exit,
    Link,
    LinkState,
    MeshCopy,
    Observed,
    ObservedReplica,
    ObservedWorkload,
)
from sampan.plan.types import Component, Plan, Role, Workload

BACK_OFF = "CrashLoopBackOff"
NOT_READY = "ReplicaNotReady"
LOAD_FAILED = "ModelLoadFailed"

# Kubernetes's reasons that say no more than that a process ended; its log says why.
_PLAIN_ENDS = frozenset({"Error", "Completed", "ContainerStatusUnknown"})


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One named link. `replica` and `exit` are those that the link speaks of, where it does.

    `component` is whose way it is a part of; the route's is the predictor, which every service has.
    """

    name: str
    link: Link
    replica: str = ""
    exit: Exit | None = None
    component: Component = Component.PREDICTOR

    @property
    def state(self) -> LinkState:
        """How far the link is."""
        return self.link.state


def derive_chain(plan: Plan, observed: Observed) -> tuple[ChainLink, ...]:
    """Return five links of each component and the route, none when nothing is to run."""
    if plan.mesh is not None:
        return derive_mesh_chain(plan, observed)
    if not plan.workloads:
        return ()
    links = (link for w in stable_workloads(plan) for link in derive_component_chain(w, observed))
    first = plan.workloads[0]
    known = _seen_of(first, observed) is not None
    return (*links, ChainLink("route", observed.route if known else Link()))


def derive_mesh_chain(plan: Plan, observed: Observed) -> tuple[ChainLink, ...]:
    """Return the links of a plan in ModelMesh mode; none when nothing is to run."""
    if plan.mesh is None:
        return ()
    seen = observed.mesh
    shared = replace(observed, workloads=seen.workloads if seen else ())
    links = {one.name: one for one in derive_component_chain(plan.mesh.workload, shared)}
    download = seen.download if seen else Link()
    links["download"] = ChainLink("download", download)
    load = links["load"]
    if load.state is LinkState.DONE:
        copy, told = (seen.target, seen.told) if seen else (MeshCopy(""), "")
        links["load"] = replace(load, link=_load_link(copy, told))
    return (*links.values(), ChainLink("route", observed.route if seen else Link()))


def _load_link(copy: MeshCopy, told: str) -> Link:
    """Return how far a model is; of one that is there also how full the memory is."""
    if copy.state in ("Loaded", "Standby"):
        where = "in memory" if copy.state == "Loaded" else "loaded by its next request"
        message = f"{where}; {told}" if told else where
        return Link(LinkState.DONE, message=message, since=copy.since)
    if copy.state == "FailedToLoad":
        return Link(LinkState.FAILED, LOAD_FAILED, copy.message, copy.since)
    if copy.state == "Loading":
        return Link(LinkState.RUNNING, since=copy.since)
    return Link()


def derive_component_chain(wanted: Workload, observed: Observed) -> tuple[ChainLink, ...]:
    """Return the five links of one component's workload."""
    seen = _seen_of(wanted, observed)
    if seen is None:
        names = ("download", "environment", "process", "load", "ready")
        links: tuple[ChainLink, ...] = tuple(ChainLink(name, Link()) for name in names)
    else:
        replicas = current_replicas(seen, wanted.template_hash)
        links = (
            ChainLink("download", seen.download),
            ChainLink("environment", seen.environment),
            *_replica_links(replicas, wanted),
        )
    return tuple(replace(link, component=wanted.component) for link in links)


def stable_workloads(plan: Plan) -> tuple[Workload, ...]:
    """Return the workload of each component that answers for it, the predictor's first."""
    return tuple(w for w in plan.workloads if w.role is Role.STABLE)


def _seen_of(wanted: Workload, observed: Observed) -> ObservedWorkload | None:
    """What was seen of a workload's newest template."""
    seen = find_workload(observed, wanted.name)
    return seen if seen is not None and seen.template_hash == wanted.template_hash else None


def first_open(chain: tuple[ChainLink, ...]) -> ChainLink | None:
    """Return the first link that is not done; None when all are."""
    return next((link for link in chain if link.state is not LinkState.DONE), None)


def find_workload(observed: Observed, name: str) -> ObservedWorkload | None:
    """Return what was seen of a workload."""
    return next((w for w in observed.workloads if w.name == name), None)


def current_replicas(seen: ObservedWorkload, template_hash: str) -> tuple[ObservedReplica, ...]:
    """Return the replicas of one template that are meant to stay."""
    return tuple(r for r in seen.replicas if r.template_hash == template_hash and not r.draining)


def _replica_links(
    replicas: tuple[ObservedReplica, ...], wanted: Workload
) -> tuple[ChainLink, ChainLink, ChainLink]:
    """Process, load and ready, told by the replica that is worst off of those that are required."""
    if wanted.idle:
        idle = make_idle_link(wanted)
        return (ChainLink("process", idle), ChainLink("load", idle), ChainLink("ready", idle))
    needed = replicas
    if wanted.scale is not None:  # what an autoscaler adds is not on the way to Ready
        needed = tuple(sorted(replicas, key=_well_being)[-max(1, wanted.required) :])
    worst = min(needed, key=_well_being, default=None)
    ready = _ready_link(replicas, wanted)
    if worst is None:
        return (ChainLink("process", Link()), ChainLink("load", Link()), ready)
    process, load = _process(worst), _load(worst)
    return (
        ChainLink("process", process, worst.name, worst.last_exit),
        ChainLink("load", load, worst.name, worst.last_exit),
        ready,
    )


def _well_being(replica: ObservedReplica) -> tuple[int, float, str]:
    """Ended before starting before loading before ready; among equals the newest."""
    ended = replica.last_exit is not None and not replica.running
    step = 0 if ended else 1 + int(replica.running) + int(replica.ready)
    return (step, -replica.created_at, replica.name)


def _process(replica: ObservedReplica) -> Link:
    """Whether the process could be started at all; one that ran and ended did start."""
    if replica.running:
        return Link(LinkState.DONE, since=replica.started_at)
    ended = replica.last_exit
    if ended is None:
        failed = replica.load if replica.load.state is LinkState.FAILED else None
        return failed or Link(LinkState.WAITING, since=replica.created_at)
    if ended.finished_at > ended.started_at:
        return Link(LinkState.DONE, since=ended.started_at)
    return _ended(replica, ended)


def _load(replica: ObservedReplica) -> Link:
    """Whether the model is loaded; after an end it is not, whatever it was before."""
    if replica.last_exit is not None and not replica.running:
        return _ended(replica, replica.last_exit)
    return replica.load


def _ended(replica: ObservedReplica, ended: Exit) -> Link:
    """A plain end that is followed by a pause is a crash loop; a telling reason stays."""
    looping = bool(replica.back_off_until) and ended.reason in _PLAIN_ENDS
    return Link(
        LinkState.FAILED,
        BACK_OFF if looping else ended.reason,
        describe_exit(replica.name, ended),
        ended.finished_at,
        retry_at=replica.back_off_until,
    )


def _ready_link(replicas: tuple[ObservedReplica, ...], wanted: Workload) -> ChainLink:
    if sum(r.ready for r in replicas) >= wanted.required:
        return ChainLink("ready", Link(LinkState.DONE))
    lost = [r for r in replicas if r.running and not r.ready and r.load.state is LinkState.DONE]
    if not lost:
        return ChainLink("ready", Link())
    message = f'"{lost[0].name}" runs and its readiness probe does not pass; see its log'
    return ChainLink("ready", Link(LinkState.RUNNING, NOT_READY, message), lost[0].name)


def describe_exit(replica: str, ended: Exit) -> str:
    """Return how a process ended, in the words that say most.

    A process that left a telling reason has said it all; of any other the last line of its log
    follows what the platform saw.
    """
    if not is_plain(ended) and ended.message:
        return ended.message
    how = f"signal {ended.signal}" if ended.signal else f'exit code "{ended.code}"'
    said = f'"{replica}" ended with {"an unknown exit code" if ended.code is None else how}'
    if ended.code == 0:
        said += ", and a server must go on"
    lines = [line.strip() for line in ended.last_lines if line.strip()]
    words = lines[-1] if lines else ended.message
    return f"{said}: {words}" if words else said


def is_plain(ended: Exit) -> bool:
    """Return whether the reason of an exit says no more than that the process ended."""
    return ended.reason in _PLAIN_ENDS
