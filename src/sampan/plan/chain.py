"""The way of a template to Ready, link by link, as it was observed.

download, environment, process, load, ready, route. Each link is about the template that the plan
asks for; replicas of an older template may serve meanwhile. Status, events and explanations all
read the same chain, so they never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.plan.observed import Exit, Link, LinkState, Observed, ObservedReplica, ObservedWorkload
from sampan.plan.types import Plan, Workload

BACK_OFF = "CrashLoopBackOff"
NOT_READY = "ReplicaNotReady"


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One named link. `replica` and `exit` are those that the link speaks of, where it does."""

    name: str
    link: Link
    replica: str = ""
    exit: Exit | None = None

    @property
    def state(self) -> LinkState:
        """How far the link is."""
        return self.link.state


def derive_chain(plan: Plan, observed: Observed) -> tuple[ChainLink, ...]:
    """Return the six links of the plan's first workload, none when nothing is to run."""
    if not plan.workloads:
        return ()
    wanted = plan.workloads[0]
    seen = find_workload(observed, wanted.name)
    if seen is None or seen.template_hash != wanted.template_hash:
        names = ("download", "environment", "process", "load", "ready", "route")
        return tuple(ChainLink(name, Link()) for name in names)
    replicas = current_replicas(seen, wanted.template_hash)
    return (
        ChainLink("download", seen.download),
        ChainLink("environment", seen.environment),
        *_replica_links(replicas, wanted),
        ChainLink("route", observed.route),
    )


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
    """Process, load and ready, told by the replica that is worst off."""
    worst = min(replicas, key=_well_being, default=None)
    if worst is None:
        return (ChainLink("process", Link()), ChainLink("load", Link()), _ready_link((), wanted))
    return (
        ChainLink("process", _process(worst), worst.name, worst.last_exit),
        ChainLink("load", worst.load, worst.name, worst.last_exit),
        _ready_link(replicas, wanted),
    )


def _well_being(replica: ObservedReplica) -> tuple[int, float, str]:
    """Failed before starting before loading before ready; among equals the newest."""
    failed = replica.load.state is LinkState.FAILED or (
        replica.last_exit is not None and not replica.running
    )
    step = 0 if failed else 1 + int(replica.running) + int(replica.ready)
    return (step, -replica.created_at, replica.name)


def _process(replica: ObservedReplica) -> Link:
    """A process that came as far as loading has started, whatever became of it since."""
    ended = replica.last_exit
    if replica.running or replica.load.state is LinkState.FAILED:
        return Link(LinkState.DONE, since=replica.started_at)
    if ended is None:
        return Link(LinkState.WAITING, since=replica.created_at)
    reason = BACK_OFF if replica.back_off_until else ended.reason
    return Link(
        LinkState.FAILED,
        reason,
        describe_exit(replica.name, ended),
        ended.finished_at,
        retry_at=replica.back_off_until,
    )


def _ready_link(replicas: tuple[ObservedReplica, ...], wanted: Workload) -> ChainLink:
    ready = [r for r in replicas if r.ready]
    if len(ready) >= wanted.replicas:
        return ChainLink("ready", Link(LinkState.DONE))
    lost = [r for r in replicas if not r.ready and r.load.state is LinkState.DONE]
    if not lost:
        return ChainLink("ready", Link())
    message = f'"{lost[0].name}" runs and its readiness probe does not pass; see its log'
    return ChainLink("ready", Link(LinkState.RUNNING, NOT_READY, message), lost[0].name)


def describe_exit(replica: str, ended: Exit) -> str:
    """Return how a process ended, with its own last words: `"iris-predictor-1" ended with exit
    code 1 (Error): ValueError: ...`."""
    how = f"signal {ended.signal}" if ended.signal else f"exit code {ended.code}"
    if ended.code is None and not ended.signal:
        how = "an unknown exit code"
    words = last_words(ended)
    return f'"{replica}" ended with {how} ({ended.reason})' + (f": {words}" if words else "")


def last_words(ended: Exit) -> str:
    """Return the message of an exit: what the platform said, else the last line of the log."""
    lines = [line.strip() for line in ended.last_lines if line.strip()]
    return ended.message or (lines[-1] if lines else "")
