"""Why a service is not Ready: the chain, the first link that is not done, and what mends it.

`derive_chain` tells the way of the newest template; `explain_selection` tells why each runtime was
or was not taken; `why` is the answer to "what is wrong with it?".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sampan.plan.chain import ChainLink, derive_chain, first_open
from sampan.plan.observed import Link, LinkState, Observed
from sampan.plan.select import Rejection, select_runtime
from sampan.plan.types import Plan, Snapshot

# How many of the last lines of a log are shown.
_LINES = 20

# What to do about a reason; `{name}` is the service's. Reasons that are not here are mended by
# what their link needs.
MENDS: Mapping[str, str] = MappingProxyType(
    {
        "Stopped": "remove the annotation serving.kserve.io/stop, or set it to false",
        "NoReplicas": "set spec.predictor.minReplicas to 1 or more",
        "RuntimeNotRecognized": "apply the runtime, or name an installed one in "
        "spec.predictor.model.runtime",
        "RuntimeDisabled": "enable the runtime, or name another in spec.predictor.model.runtime",
        "NoSupportingRuntime": "change spec.predictor.model.modelFormat or protocolVersion to what "
        "a runtime supports, or apply a runtime that does",
        "InvalidPredictorSpec": "change the field that the message names",
        "DeploymentModeNotSupported": "set the annotation serving.kserve.io/deploymentMode to "
        "Standard",
        "TransformerNotSupported": "remove spec.transformer",
        "ExplainerNotSupported": "remove spec.explainer",
        "CanaryNotSupported": "remove the canary",
        "MultiNodeNotSupported": "remove spec.predictor.workerSpec",
        "ConfidentialNotSupported": "store the model unencrypted",
        "StorageSpecNotSupported": "use spec.predictor.model.storageUri",
        "CrashLoopBackOff": "read the last lines of its log, mend the model or its arguments, and "
        "apply again",
        "OOMKilled": "give it more memory in spec.predictor.model.resources, or serve a smaller "
        "model",
        "ReplicaNotReady": "read its log: sampan logs {name}",
    }
)
_LINK_MENDS = {
    "download": "check that spec.predictor.model.storageUri names what is there, and that it can "
    "be reached from here",
    "environment": "check the runtime's image and runtimeVersion, and that packages can be "
    "installed here: sampan doctor",
    "process": "read its log: sampan logs {name}",
    "load": "check that the model's files are of the format and version that the runtime loads",
    "ready": "read its log: sampan logs {name}",
    "route": "check that the gateway runs and its port is free: sampan doctor",
}
_WAIT = "wait; it is under way"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer of `why`.

    `link` names the first link that is not done: `stopped`, `decision` (the plan is blocked), one
    of the chain's six, or empty when the service is ready. `lines` are the last lines of the
    replica's log, oldest first. `serving`: a replica, perhaps of an older template, still answers.
    `rejected` tells why each runtime was not taken, where none was.
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
    failed = link.state is LinkState.FAILED
    return Diagnosis(
        link=opened.name,
        state=link.state,
        reason=link.reason,
        message=link.message or f"{opened.name} is {link.state.value}",
        mend=make_mend(opened.name, link.reason, name) if failed or link.reason else _WAIT,
        lines=_last_lines(opened),
        replica=opened.replica,
        serving=serving,
        chain=chain,
    )


def explain_selection(snapshot: Snapshot) -> RuntimeChoice:
    """Return the selected runtime and the reasons against each other one."""
    selection = select_runtime(snapshot.service, snapshot.runtimes, snapshot.cluster_runtimes)
    return RuntimeChoice(selection.name, selection.rejected)


def make_mend(link: str, reason: str, name: str) -> str:
    """Return what to do about a reason, or else about a link, for the service of this name."""
    mend = MENDS.get(reason) or _LINK_MENDS.get(link, "change what the message names")
    return mend.format(name=name)


def _first_reason(plan: Plan, chain: tuple[ChainLink, ...]) -> ChainLink | None:
    """Without replicas every link is done and nothing answers."""
    if plan.workloads and plan.workloads[0].replicas == 0:
        message = "spec.predictor.minReplicas is 0, so no replica runs"
        return ChainLink("ready", Link(LinkState.WAITING, "NoReplicas", message))
    return first_open(chain)


def _last_lines(opened: ChainLink) -> tuple[str, ...]:
    return opened.exit.last_lines[-_LINES:] if opened.exit else ()
