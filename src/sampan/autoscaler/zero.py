"""When the last replica may go.

Knative Serving, the zero decision: first the revision is called inactive, then its requests are
held by the activator, and only when that is known to work does the last replica end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sampan.autoscaler.settings import Settings

Phase = Literal["Activating", "Active", "Inactive"]

PROGRESS_MARGIN = 30.0
"""Seconds beyond the progress deadline that a starting revision still gets."""

LOCAL_GRACE = 0.0
"""The grace period of one machine: Knative's 30 s wait for the network to have changed, and here
the gateway has said that it holds the route."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The phase of a revision and since when; `held_since`: when its route was first held."""

    phase: Phase
    since: float
    held_since: float | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """What to do about a revision of which no replica is wanted.

    `replicas` None: leave what runs. `hold`: its requests go to the activator. `again`: seconds
    until the answer may be another, None: nothing changes by time alone.
    """

    activity: Activity
    replicas: int | None
    hold: bool
    again: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each phase may take, in seconds."""

    progress_deadline: float = 600.0
    grace: float = LOCAL_GRACE


def let_idle(
    settings: Settings,
    activity: Activity,
    now: float,
    *,
    patience: Patience | None = None,
    confirmed: bool = False,
    reachable: bool = True,
) -> Idle:
    """Return what to do when the decision is zero; `confirmed`: the activator answers for it."""
    patience = patience or Patience()
    if activity.phase == "Activating":
        return _starting(activity, now, patience)
    if activity.phase == "Active":
        return _active(settings, activity, now)
    return _inactive(settings, activity, now, patience, held=(confirmed, reachable))


def _starting(activity: Activity, now: float, patience: Patience) -> Idle:
    left = activity.since + patience.progress_deadline + PROGRESS_MARGIN - now
    if left > 0:
        return Idle(activity, None, hold=True, again=left)
    return Idle(turn(activity, "Inactive", now), 0, hold=True, reason="TimedOut")


def _active(settings: Settings, activity: Activity, now: float) -> Idle:
    """Keep one replica until the revision was active for a whole stable window, then hold."""
    left = activity.since + settings.stable_window - now
    if left > 0:
        return Idle(activity, 1, hold=False, again=left)
    inactive = replace(turn(activity, "Inactive", now), held_since=activity.held_since or now)
    return Idle(inactive, None, hold=True, again=0.0, reason="NoTraffic")


def _inactive(
    settings: Settings,
    activity: Activity,
    now: float,
    patience: Patience,
    *,
    held: tuple[bool, bool],
) -> Idle:
    confirmed, reachable = held
    if not confirmed and settings.burst_capacity != -1:
        return Idle(activity, None, hold=True)
    retention = settings.pod_retention if reachable else 0.0
    kept = activity.since + retention - now
    if kept > 0:
        return Idle(activity, None, hold=True, again=kept)
    waits = (activity.since, activity.since if activity.held_since is None else activity.held_since)
    left = min(waits) + patience.grace - now
    if left > 0:
        return Idle(activity, None, hold=True, again=left)
    return Idle(activity, 0, hold=True, reason="NoTraffic")


def turn(activity: Activity, phase: Phase, now: float) -> Activity:
    """Return the activity in a phase, its start kept where the phase is the same."""
    return activity if activity.phase == phase else Activity(phase, now, activity.held_since)


def derive_activity(
    activity: Activity, desired: int, ready: int, least_ready: int, now: float
) -> Activity:
    """Return the phase of a revision of which replicas are wanted (`desired` above 0)."""
    if desired > 0 and ready < least_ready and activity.phase != "Active":
        return turn(activity, "Activating", now)
    if desired > 0 and ready >= least_ready:
        return turn(activity, "Active", now)
    return activity
