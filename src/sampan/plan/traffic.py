"""Shares of traffic: who gets how much, and how a share grows. Pure arithmetic on percents.

Knative Serving, gradual rollout: a new revision begins with one percent and grows in even steps
until `rollout-duration` has passed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEP_SECONDS = 1.0
"""The shortest time between two steps of a gradual rollout (Knative: at least a second)."""


@dataclass(frozen=True, slots=True)
class Step:
    """A share in percent, and when it changes next (seconds since the epoch, 0: it does not)."""

    percent: int
    wake_at: float = 0.0


def make_gradual_step(percent: int, duration: float, since: float, now: float) -> Step:
    """Return the share that a revision has at `now`, on its way to `percent`.

    It began at `since` with one percent. As in Knative a share of one percent is taken at once.
    """
    if percent <= 1 or duration <= 0:
        return Step(percent)
    remaining = max(1.0, duration - STEP_SECONDS)
    steps = int(min(percent - 1, max(1, remaining // STEP_SECONDS)))
    size, interval = round((percent - 1) / steps), remaining / steps
    taken = max(0, math.floor((now - since) / interval + 1e-9))
    if taken >= steps:
        return Step(percent)
    return Step(min(percent, 1 + taken * size), since + (taken + 1) * interval)


def split(total: int, shares: Sequence[int]) -> tuple[int, ...]:
    """Return whole percents that sum to `total`, in proportion to `shares` (which sum to more than
    0); what is left over by rounding goes to those that lost most.
    """
    whole = sum(shares)
    exact = [share * total / whole for share in shares]
    floors = [math.floor(value) for value in exact]
    order = sorted(range(len(shares)), key=lambda i: (floors[i] - exact[i], i))
    for index in order[: total - sum(floors)]:
        floors[index] += 1
    return tuple(floors)


def move_shares(shares: Sequence[int], able: Sequence[bool]) -> tuple[int, ...]:
    """Return the shares with those of who cannot serve given to who can, in proportion.

    Where nobody can serve, or only who has no share, the first able one takes all; where nobody is
    able the shares stay.
    """
    if not any(able) or all(ok or not share for share, ok in zip(shares, able, strict=True)):
        return tuple(shares)
    kept = [share if ok else 0 for share, ok in zip(shares, able, strict=True)]
    if not any(kept):
        kept[able.index(True)] = 1
    return split(sum(shares), kept)
