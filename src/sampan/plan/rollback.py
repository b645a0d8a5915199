"""Whether a new revision fails so often, or is so slow, that it is taken back. Pure.

It is judged by the requests of the last `window` seconds, from so many on that a share of them says
something; one that is taken back gets no more until another share of the traffic is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.machinery.go_duration import parse_duration
from sampan.plan.revision import RolledBack
from sampan.plan.service import annotations_of

ERROR_PERCENT = "serving.sampan.dev/rollback-error-percent"
LATENCY = "serving.sampan.dev/rollback-latency"
WINDOW = "serving.sampan.dev/rollback-window"

ERRORS_EXCEEDED, LATENCY_EXCEEDED = "CanaryErrorRateExceeded", "CanaryLatencyExceeded"
LEAST_REQUESTS = 20
"""Fewer requests in a window say nothing: one error among them would be five percent and more."""
SLOW_PERCENT = 5
"""As many percent of the answers may be slower than the limit: it holds for the 95th percentile."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a new revision must keep to; None: whatever. `latency` and `window` are in seconds."""

    error_percent: float | None = None
    latency: float | None = None
    window: float = 30.0

    @property
    def given(self) -> bool:
        """Whether there is anything to keep to."""
        return self.error_percent is not None or self.latency is not None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the gateway had counted of a revision at a time (seconds since the epoch).

    `errors` are answers of 500 and above, and gRPC statuses of the server's fault. `within` maps
    bounds in seconds to how many answers took at most so long; empty where that is not counted.
    """

    at: float
    total: int
    errors: int
    within: tuple[tuple[float, int], ...] = ()


def read_limits(service: Mapping[str, Any]) -> Limits:
    """Return what the revisions of a service must keep to; what cannot be read counts as absent."""
    given = annotations_of(service)
    window = _seconds(given, WINDOW)[0]
    return Limits(_percent(given)[0], _seconds(given, LATENCY)[0], window or Limits().window)


def rollback_warnings(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield `(path, sentence)` for each of these annotations that has no effect."""
    given = annotations_of(service)
    wrong = {
        ERROR_PERCENT: _percent(given)[1],
        LATENCY: _seconds(given, LATENCY)[1],
        WINDOW: _seconds(given, WINDOW)[1],
    }
    yield from ((f'metadata.annotations["{key}"]', text) for key, text in wrong.items() if text)
    if service["spec"].get("canary") and read_limits(service).given:
        key = ERROR_PERCENT if ERROR_PERCENT in given else LATENCY
        text = "is not acted on for spec.canary, only for canaryTrafficPercent and rollout-duration"
        yield f'metadata.annotations["{key}"]', text


def judge(
    revision: str, tallies: Sequence[Tally], limits: Limits, percent: int | None
) -> RolledBack | None:
    """Return why a revision is taken back, None where it keeps to its limits.

    `tallies` are in the order of their times; `percent` is the share that it was to have.
    """
    if len(tallies) < 2:
        return None
    first, last = tallies[0], tallies[-1]
    total, errors = last.total - first.total, last.errors - first.errors
    if total < LEAST_REQUESTS:
        return None
    seconds = f"in {last.at - first.at:.0f} s"
    if limits.error_percent is not None and errors * 100 > limits.error_percent * total:
        text = (
            f"{errors} of {total} requests to {revision} failed {seconds}, "
            f"{errors * 100 / total:.1f} percent, and at most {limits.error_percent:g} may"
        )
        return RolledBack(revision, ERRORS_EXCEEDED, text, percent)
    if limits.latency is not None:
        slow = _slower(first, last, limits.latency)
        if slow * 100 > SLOW_PERCENT * total:
            text = (
                f"{slow} of {total} answers of {revision} took longer than "
                f"{limits.latency:g} s {seconds}, and at most {SLOW_PERCENT} percent may"
            )
            return RolledBack(revision, LATENCY_EXCEEDED, text, percent)
    return None


def select_recent(tallies: Sequence[Tally], window: float, now: float) -> tuple[Tally, ...]:
    """Return the tallies that the judgement is about: of the window, and the last one before it.

    Counters that went back are those of an Envoy that was started again: what was before counts
    no more.
    """
    found = tuple(tallies)
    for index in range(len(found) - 1, 0, -1):
        if found[index].total < found[index - 1].total:
            found = found[index:]
            break
    older = [n for n, tally in enumerate(found) if tally.at <= now - window]
    return found[older[-1] :] if older else found


def _slower(first: Tally, last: Tally, limit: float) -> int:
    """Return how many answers took longer than the limit, at least: buckets tell no more."""
    before = dict(first.within)
    counted = [(bound, count - before.get(bound, 0)) for bound, count in last.within]
    if not counted:
        return 0
    everything = counted[-1][1]
    fast = next((count for bound, count in counted if bound >= limit), everything)
    return everything - fast


def _percent(given: Mapping[str, str]) -> tuple[float | None, str]:
    text = given.get(ERROR_PERCENT, "")
    if not text:
        return None, ""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 <= value <= 100:
        return value, ""
    return None, f'"{text}" is no percent from 0 to 100; nothing is rolled back for errors'


def _seconds(given: Mapping[str, str], key: str) -> tuple[float | None, str]:
    text = given.get(key, "")
    if not text:
        return None, ""
    try:
        value = parse_duration(text)
    except ValueError as error:
        return None, f"{error}"
    return (value, "") if value > 0 else (None, f'"{text}" is not more than 0; give it as 500ms')
