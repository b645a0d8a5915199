"""Why a service is not Ready: the chain, the first link that is not done, and what mends it.

`derive_chain` tells the way of the newest template; `explain_selection` tells why each runtime was
or was not taken; `why` is the answer to "what is wrong with it?".
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.plan.candidates import Rejection
from sampan.plan.chain import ChainLink, derive_chain, first_open, stable_workloads
from sampan.plan.events import derive_events
from sampan.plan.mends import MENDS, make_mend
from sampan.plan.observed import Link, LinkState, Observed
from sampan.plan.select import select_runtime
from sampan.plan.types import Component, Plan, Snapshot

__all__ = [
    "Diagnosis",
    "RuntimeChoice",
    "derive_chain",
    "derive_events",
    "explain_selection",
    "why",
]

# How many of the last lines of a log are shown.
_LINES = 20

_WAIT = "wait; it is under way"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer of `why`.

    `link` names the first link that is not done: `stopped`, `decision` (the plan is blocked), one
    of the chain's, or empty when the service is ready; `component` is whose link it is. `lines` are
    the last lines of the replica's log, oldest first. `serving`: a replica, perhaps of an older
    template, still answers. `rejected` tells why each runtime was not taken, where none was.
    """

    link: str
    state: LinkState
    reason: str = ""
    message: str = ""
    mend: str = ""
    lines: tuple[str, ...] = ()
    replica: str = ""
    serving: bool = False
    chain: tuple[ChainLink, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    component: Component = Component.PREDICTOR


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """Which runtime serves the model (empty for none) and why each other one does not."""

    selected: str
    rejected: tuple[Rejection, ...]


def why(snapshot: Snapshot, plan: Plan, observed: Observed) -> Diagnosis:
    """Return the first thing between a service and Ready, with its last words and the mend."""
    name, chain = plan.service.name, derive_chain(plan, observed)
    serving = any(r.ready and not r.draining for w in observed.workloads for r in w.replicas)
    if plan.stopped:
        text = "the annotation serving.kserve.io/stop is true"
        return Diagnosis(
            "stopped", LinkState.DONE, "Stopped", text, make_mend("stopped", "Stopped", name)
        )
    if plan.blocked:
        reason, message = plan.blocked.reason, plan.blocked.message
        return Diagnosis(
            link="decision",
            state=LinkState.FAILED,
            reason=reason,
            message=message,
            mend=make_mend("decision", reason, name),
            serving=serving,
            rejected=() if plan.runtime_name else explain_selection(snapshot).rejected,
        )
    opened = _first_reason(plan, chain)
    if opened is None:
        return Diagnosis("", LinkState.DONE, serving=True, chain=chain)
    link = opened.link
    told = link.state is LinkState.FAILED or link.reason in MENDS
    return Diagnosis(
        link=opened.name,
        state=link.state,
        reason=link.reason,
        message=link.message or f"{opened.name} is {link.state.value}",
        mend=make_mend(opened.name, link.reason, name, opened.component) if told else _WAIT,
        lines=_last_lines(opened),
        replica=opened.replica,
        serving=serving,
        chain=chain,
        component=opened.component,
    )


def explain_selection(snapshot: Snapshot) -> RuntimeChoice:
    """Return the selected runtime and the reasons against each other one."""
    selection = select_runtime(snapshot.service, snapshot.runtimes, snapshot.cluster_runtimes)
    return RuntimeChoice(selection.name, selection.rejected)


def _first_reason(plan: Plan, chain: tuple[ChainLink, ...]) -> ChainLink | None:
    """Without replicas every link is done and nothing answers."""
    empty = next(
        (w.component for w in stable_workloads(plan) if w.replicas == 0 and not w.idle), None
    )
    if empty is not None:
        message = f"spec.{empty.value}.minReplicas is 0, so no replica runs"
        link = Link(LinkState.WAITING, "NoReplicas", message)
        return ChainLink("ready", link, component=empty)
    return first_open(chain)


def _last_lines(opened: ChainLink) -> tuple[str, ...]:
    return opened.exit.last_lines[-_LINES:] if opened.exit else ()
