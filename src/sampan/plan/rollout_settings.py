"""What annotations say about rolling out a service: tags, pace, a pause. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.machinery.go_duration import parse_duration
from sampan.plan.service import annotations_of

TAG_ROUTING = "serving.kserve.io/enable-tag-routing"
ROLLOUT_DURATION = "serving.knative.dev/rollout-duration"
PAUSED = "serving.sampan.dev/rollout-paused"
ROLLOUT_ANNOTATIONS = frozenset({TAG_ROUTING, ROLLOUT_DURATION, PAUSED})
"""Annotations that change shares and ways in, and nothing of what runs: no new revision."""


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How a service is rolled out.

    `tagged`: revisions are reached by their tags, in the host, a header or a cookie. `duration` is
    how many seconds a new revision takes to get its share (0: at once). `paused`: shares stay as
    they are.
    """

    tagged: bool = False
    duration: float = 0.0
    paused: bool = False


def read_rollout_settings(service: Mapping[str, Any]) -> RolloutSettings:
    """Return the settings of a service; what cannot be read counts as absent, and is warned of."""
    given = annotations_of(service)
    return RolloutSettings(
        tagged=_is_true(given, TAG_ROUTING),
        duration=_duration(given)[0],
        paused=_is_true(given, PAUSED),
    )


def rollout_warnings(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield `(path, sentence)` for each annotation about rollouts that cannot be read."""
    given = annotations_of(service)
    if wrong := _duration(given)[1]:
        yield f'metadata.annotations["{ROLLOUT_DURATION}"]', wrong
    for key in (PAUSED,):
        if given.get(key, "false").lower() not in ("true", "false"):
            sentence = f'"{given[key]}" is neither "true" nor "false" and counts as "false"'
            yield f'metadata.annotations["{key}"]', sentence


def _is_true(given: Mapping[str, str], key: str) -> bool:
    return given.get(key, "").lower() == "true"


def _duration(given: Mapping[str, str]) -> tuple[float, str]:
    """Return the seconds of `rollout-duration`, and what is wrong with it ("": nothing)."""
    text = given.get(ROLLOUT_DURATION, "")
    if not text:
        return 0.0, ""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        return 0.0, f"{error}; the whole share is given at once"
    if seconds < 0 or seconds != int(seconds):
        mend = "give whole seconds, as 380s"
        return 0.0, f'"{text}" is not a number of whole seconds; {mend}'
    return seconds, ""
