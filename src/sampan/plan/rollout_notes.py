"""What a rollout has to remember from one decision to the next: a note in `status.annotations`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.revision import RolledBack, Rollout
from sampan.plan.types import Component

NOTE = "serving.sampan.dev/rollout"


@dataclass(frozen=True, slots=True)
class RolloutNotes:
    """The notes about one component.

    `revision` has had a share of traffic since `since` (seconds since the epoch, 0: none has).
    `rolled_out` and `previous` are those of the status before the service was stopped.
    """

    revision: str = ""
    since: float = 0.0
    failed: RolledBack | None = None
    rolled_out: str = ""
    previous: str = ""


def read_notes(status: Mapping[str, Any], component: Component) -> RolloutNotes:
    """Return what a status notes about a component; nothing where it cannot be read."""
    text = (status.get("annotations") or {}).get(NOTE)
    try:
        told = (json.loads(text) if text else {}).get(component.value) or {}
        failed = told.get("rolledBack")
        return RolloutNotes(
            str(told.get("revision", "")),
            float(told.get("since", 0)),
            RolledBack(**failed) if failed else None,
            str(told.get("rolledOut", "")),
            str(told.get("previous", "")),
        )
    except (ValueError, TypeError, AttributeError):
        return RolloutNotes()


def make_notes(rollouts: Iterable[Rollout]) -> Mapping[str, str]:
    """Return the annotation of a status; none where there is nothing to remember."""
    told = {r.component.value: found for r in rollouts if (found := _make_note(r))}
    return {NOTE: json.dumps(told, sort_keys=True)} if told else {}


def make_stopped_notes(before: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the annotation of a service that is stopped, whose status tells no revisions: what
    had all traffic is remembered, so that a canary goes on where it was. `before` is the status
    last written.
    """
    if not before.get("components"):
        return {k: v for k, v in (before.get("annotations") or {}).items() if k == NOTE}
    told = {name: found for name, c in before["components"].items() if (found := _kept(c))}
    return {NOTE: json.dumps(told, sort_keys=True)} if told else {}


def _kept(component: Mapping[str, Any]) -> JsonObject:
    fields = {"rolledOut": "latestRolledoutRevision", "previous": "previousRolledoutRevision"}
    return {key: component[name] for key, name in fields.items() if component.get(name)}


def _make_note(rollout: Rollout) -> JsonObject:
    note: JsonObject = {}
    if rollout.since and rollout.ready:
        note = {"revision": rollout.ready.name, "since": rollout.since}
    if rollout.failed is not None:
        note["rolledBack"] = asdict(rollout.failed)
    return note
