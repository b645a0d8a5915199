"""The autoscaler of one workload by what its replicas use, or by numbers that are asked for.

The rules are `sampan.autoscaler.hpa`'s; here is what they keep between two looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sampan.autoscaler.hpa import PERIOD, Advice, Measure, Past, Rules, advise
from sampan.autoscaler.outcome import Outcome, Seen
from sampan.autoscaler.policy import ByResources, Target
from sampan.autoscaler.queries import Query, Readings


@dataclass(frozen=True, slots=True)
class Use:
    """What the ready replicas use on average, and what a replica requests, by resource: cores of
    `cpu`, bytes of `memory`. A resource that is not requested is absent from `requested`.

    `asked` are the numbers that were asked for.
    """

    used: Mapping[str, float]
    requested: Mapping[str, float]
    asked: Readings = field(default_factory=Readings)


class ResourceScaler:
    """Decides how many replicas a workload has, from what they use; each 15 s, as Kubernetes."""

    def __init__(self, policy: ByResources, ready: int, now: float) -> None:
        self.policy = policy
        self.current = max(ready, policy.rules.minimum)
        self._past = Past()
        self._next = now + PERIOD

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to look."""
        return now >= self._next

    def decide(self, now: float, seen: Seen, use: Use) -> Outcome:
        """Return how many replicas there should be."""
        self._next = now + PERIOD
        rules, unread = self.policy.rules, use.asked.unread
        measures = make_measures(self.policy.targets, use)
        measures += make_asked_measures(self.policy.queries, use.asked.told, seen.ready)
        advice = advise(rules, measures, max(seen.ready, 1), self._past, now)
        self._past = advice.past
        replicas = advice.replicas if measures else self.current
        replicas = min(max(replicas, rules.minimum), rules.maximum)
        reason = render_advice(replicas, advice, measures, rules)
        if unread:
            reason = f"{reason}; {unread.message}"
        if replicas < self.current and (waits := _why_kept(seen, use.asked)):
            return Outcome(
                self.current, f"{reason}; none is taken away while {waits}", unread=unread
            )
        return Outcome(replicas, reason, unread=unread)

    def wait(self, now: float) -> None:
        """Note that there was nothing to decide."""
        self._next = now + PERIOD

    def take(self, outcome: Outcome) -> None:
        """Note what was made of a decision."""
        self.current = outcome.replicas


def make_measures(targets: Sequence[Target], use: Use) -> list[Measure]:
    """Return what can be measured; shares are in percent of what is requested."""
    found = []
    for target in targets:
        value = use.used.get(target.resource)
        if value is None:
            continue
        if target.amount:
            found.append(Measure(target.resource, value, target.amount))
        elif requested := use.requested.get(target.resource):
            found.append(Measure(target.resource, 100 * value / requested, target.percent))
    return found


def _why_kept(seen: Seen, asked: Readings) -> str:
    """Return what forbids to take replicas away; what is not read may be what keeps them busy."""
    if seen.loading:
        return f"{seen.loading} still load"
    return "a metric cannot be read" if asked.unread else ""


def make_asked_measures(
    queries: Sequence[Query], told: Mapping[Query, float], ready: int
) -> list[Measure]:
    """Return the numbers that were told, as an average over the replicas."""
    return [Measure(q.name, told[q] / max(ready, 1), q.target) for q in queries if q in told]


def find_unrequested(targets: Sequence[Target], requested: Mapping[str, float]) -> Iterator[str]:
    """Yield a sentence for each share of what a container does not request."""
    for target in targets:
        if target.percent and not requested.get(target.resource):
            yield (
                f'the container requests no "{target.resource}", so {target.percent:g} % of it '
                f'cannot be measured; set "resources.requests.{target.resource}"'
            )


def render_advice(replicas: int, advice: Advice, measures: Sequence[Measure], rules: Rules) -> str:
    """Return the numbers that made a decision, as one sentence."""
    count = _count(replicas)
    measure = next((m for m in measures if m.name == advice.measure), None)
    if measure is None:
        return f"{count}: nothing is measured yet"
    parts = [f"{count}: {measure.name} at {measure.value:.4g} of {measure.target:.4g}"]
    if advice.limited_by:
        parts.append(f"{advice.limited_by} decides")
    return f"{'; '.join(parts)} (from {rules.minimum} to {rules.maximum})"


def _count(replicas: int) -> str:
    return f"{replicas} replica" if replicas == 1 else f"{replicas} replicas"
