"""What is there when a decision is made, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sampan.plan.scaling import Unread


@dataclass(frozen=True, slots=True)
class Seen:
    """The replicas of a workload at a decision.

    `loading`: they run and are not ready yet. `held`: its requests are known to wait at the
    activator. `can_hold`: there is an activator, without which one replica is always kept.
    """

    ready: int
    loading: int = 0
    held: bool = False
    can_hold: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many replicas, and why: `reason` is one sentence with the numbers.

    `hold`: requests must wait at the activator. `limited` tells by what of the machine the number
    was cut ("": by nothing), `unread` which metric could not be had (None: all could).
    """

    replicas: int
    reason: str
    hold: bool = False
    limited: str = ""
    unread: Unread | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """How many replicas the machine can hold, and the words that say what limits it."""

    replicas: int
    because: str


def fit(outcome: Outcome, room: Room | None, current: int) -> Outcome:
    """Return the outcome within the machine's room; what runs already is never cut by it."""
    if room is None or outcome.replicas <= room.replicas or outcome.replicas <= current:
        return outcome
    fitting = max(current, room.replicas)
    text = f"{outcome.replicas} replicas are wanted and {fitting} fit: {room.because}"
    return replace(outcome, replicas=fitting, limited=text, reason=f"{outcome.reason}; {text}")
