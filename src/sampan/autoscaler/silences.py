"""What of a component's scaling cannot mean what it says: each with what would mend it.

KServe lets all of this through; Knative refuses bad annotations only when the revision is made.
Here whoever applies it is told at once, and a value that is wrong counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sampan.autoscaler.annotations import DOMAIN, READERS, find_annotations
from sampan.autoscaler.policy import (
    ByRequests,
    ByResources,
    Component,
    Policy,
    read_custom_metric,
    read_policy_settings,
    read_target,
    select_policy,
)
from sampan.autoscaler.queries import find_unasked
from sampan.autoscaler.resource_scaler import find_unrequested
from sampan.autoscaler.settings import Defaults
from sampan.machinery.suggest import did_you_mean
from sampan.plan.scaling import UNSCALED

Silence = tuple[str, str]
"""`(path, sentence)`."""

_FIELDS = {"min-scale": "minReplicas", "max-scale": "maxReplicas"}
_PATH = 'metadata.annotations["{}"]'


def find_silences(
    component: Component,
    sent: Mapping[str, str],
    requested: Mapping[str, float],
    defaults: Defaults,
    root: str = "spec.predictor",
) -> Iterator[Silence]:
    """Yield each; `sent` are the annotations of the service, `requested` what its container
    requests, `root` is the path of the component.
    """
    policy = select_policy(component, defaults)
    yield from _sent(sent, component, policy, root)
    if isinstance(policy, ByRequests):
        problems = read_policy_settings(component, defaults)[1]
        yield from ((root, f"{problem}; what it says has no effect") for problem in problems)
    yield from _fields(component, policy, root)
    yield from _metrics(component, policy, root)
    if isinstance(policy, ByResources):
        yield from _custom_metric(component)
        yield from ((root, text) for text in find_unrequested(policy.targets, requested))


def _custom_metric(component: Component) -> Iterator[Silence]:
    """A metric of Knative's class hpa that cannot be read."""
    found = read_custom_metric(component) if component.mode == "Knative" else None
    if isinstance(found, str):
        yield _PATH.format(f"{DOMAIN}metric"), f"{found}; the use of the CPU decides"
    text = find_annotations(component.annotations).get("target")
    if component.mode == "Knative" and text is not None and not read_target({"target": text}):
        yield _PATH.format(f"{DOMAIN}target"), f'is "{text}", which is no number above 0'


def _sent(
    sent: Mapping[str, str], component: Component, policy: Policy | None, root: str
) -> Iterator[Silence]:
    """Annotations of Knative's autoscaler that nothing here reads."""
    known = {*READERS, "class", "metric"}
    heeded = {"class", "metric", "target"} if component.mode == "Knative" and policy else {"class"}
    for key in sent:
        if not key.startswith(DOMAIN):
            continue
        short = next(iter(find_annotations({key: ""})), "")
        if short in _FIELDS:  # KServe does not hand them on
            yield _PATH.format(key), f'has no effect; write "{root}.{_FIELDS[short]}"'
        elif short not in known:
            near = did_you_mean(short, sorted(known))
            yield _PATH.format(key), f"is no annotation of the autoscaler{near}"
        elif not _by_requests(policy) and short not in heeded:
            text = "has no effect where requests do not decide the number of replicas"
            yield _PATH.format(key), f'{text}; set "{root}.scaleMetric" to "concurrency"'
        elif short == "target-burst-capacity":
            yield _PATH.format(key), "has no effect: requests are held only while no replica runs"


def _by_requests(policy: Policy | None) -> bool:
    """Whether requests decide about a workload, were it only whether it sleeps."""
    return isinstance(policy, ByRequests) or bool(policy and policy.sleeps)


def _fields(component: Component, policy: Policy | None, root: str) -> Iterator[Silence]:
    """Fields of a component that nothing scales."""
    scaling = component.scaling
    if isinstance(policy, ByResources) and scaling.minimum == 0 and policy.sleeps is None:
        text = "one replica is kept where its use of CPU or memory decides; to scale to zero"
        mend = f'set "{root}.scaleMetric" to "concurrency"'
        if component.mode == "Knative":  # its class decides, not the metric
            mend = f'take away the annotation "{DOMAIN}class"'
        yield f"{root}.minReplicas", f"{text} {mend}"
    if policy is not None:
        return
    if scaling.autoscaler in UNSCALED:
        why = f'the annotation says that the autoscaler is "{scaling.autoscaler}"'
    else:
        why = '"maxReplicas" is not above "minReplicas", so the number of replicas is fixed'
    given = {"scaleTarget": scaling.target, "scaleMetric": scaling.metric}
    for name in (name for name, value in given.items() if value):
        yield f"{root}.{name}", f"has no effect, for {why}"


def _metrics(component: Component, policy: Policy | None, root: str) -> Iterator[Silence]:
    path = f"{root}.autoScaling.metrics"
    if isinstance(policy, ByRequests):
        text = "has no effect where requests decide the number of replicas"
        yield from ((f"{path}[{n}]", text) for n in range(len(component.scaling.metrics)))
    else:
        for index, field, text in find_unasked(component.scaling):
            yield f"{path}[{index}]{field}", text
