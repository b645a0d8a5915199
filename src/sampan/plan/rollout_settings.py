"""What annotations say about rolling out a service: tags, pace, a pause. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.machinery.go_duration import parse_duration
from sampan.plan.rollback import ERROR_PERCENT, LATENCY, WINDOW
from sampan.plan.service import annotations_of, predictor

TAG_ROUTING = "serving.kserve.io/enable-tag-routing"
ROLLOUT_DURATION = "serving.knative.dev/rollout-duration"
PAUSED = "serving.sampan.dev/rollout-paused"
STICKY = "serving.sampan.dev/sticky-canary"
MIRROR = "serving.sampan.dev/mirror"
WARM = "serving.sampan.dev/warm"
PREFETCH = "serving.sampan.dev/prefetch"
ROLLOUT_ANNOTATIONS = frozenset(
    {
        TAG_ROUTING, ROLLOUT_DURATION, PAUSED, STICKY, MIRROR, ERROR_PERCENT, LATENCY, WINDOW,
        WARM, PREFETCH,
    }
)  # fmt: skip
"""Annotations that change shares and ways in, and nothing of what runs: no new revision."""

BY_COOKIE = "cookie"
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How a service is rolled out.

    `tagged`: revisions are reached by their tags, in the host, a header or a cookie. `duration` is
    how many seconds a new revision takes to get its share (0: at once). `paused`: shares stay as
    they are. `sticky`: by what a client keeps its share (`plan.types.Way`). `mirror` is the percent
    of requests of which canaries without a share get copies.
    """

    tagged: bool = False
    duration: float = 0.0
    paused: bool = False
    sticky: str = ""
    mirror: int = 0


def read_rollout_settings(service: Mapping[str, Any]) -> RolloutSettings:
    """Return the settings of a service; what cannot be read counts as absent, and is warned of."""
    given = annotations_of(service)
    return RolloutSettings(
        tagged=_is_true(given, TAG_ROUTING),
        duration=_duration(given)[0],
        paused=_is_true(given, PAUSED),
        sticky=_sticky(given)[0],
        mirror=_mirror(given)[0],
    )


def rollout_warnings(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield `(path, sentence)` for each annotation about rollouts that cannot be read."""
    given = annotations_of(service)
    for key, read in ((ROLLOUT_DURATION, _duration), (STICKY, _sticky), (MIRROR, _mirror)):
        if wrong := read(given)[1]:
            yield f'metadata.annotations["{key}"]', wrong
    yield from _mirrored_share(service, _mirror(given)[0])
    for key in (PAUSED,):
        if given.get(key, "false").lower() not in ("true", "false"):
            sentence = f'"{given[key]}" is neither "true" nor "false" and counts as "false"'
            yield f'metadata.annotations["{key}"]', sentence


def _mirrored_share(service: Mapping[str, Any], mirror: int) -> Iterator[tuple[str, str]]:
    """Whoever has a share of the requests would get some of them twice."""
    entries = service["spec"].get("canary") or ()
    shares = [int(entry.get("trafficPercent") or 0) for entry in entries]
    shares += [predictor(service).get("canaryTrafficPercent") or 0] if not entries else []
    if mirror and any(shares):
        sentence = (
            f"copies go to canaries without a share, and one has {max(shares)} percent; set it to 0"
        )
        yield f'metadata.annotations["{MIRROR}"]', sentence


def _sticky(given: Mapping[str, str]) -> tuple[str, str]:
    """Return by what a client keeps its share, and what is wrong with it ("": nothing)."""
    text = given.get(STICKY, "")
    if text in ("", BY_COOKIE):
        return text, ""
    kind, _, name = text.partition("/")
    if kind == "header" and _HEADER.fullmatch(name):
        return name.lower(), ""
    mend = 'write "cookie", or "header/NAME" of a header that clients send'
    return "", f'"{text}" says nothing by which a client could be known; {mend}'


def _mirror(given: Mapping[str, str]) -> tuple[int, str]:
    """Return the percent of requests to copy, and what is wrong with it ("": nothing)."""
    text = given.get(MIRROR, "0")
    if text.isascii() and text.isdigit() and int(text) <= 100:
        return int(text), ""
    return 0, f'"{text}" is no percent from 0 to 100; nothing is copied'


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
