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
    """

    revision: str = ""
    since: float = 0.0
    failed: RolledBack | None = None


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
        )
    except (ValueError, TypeError, AttributeError):
        return RolloutNotes()


def make_notes(rollouts: Iterable[Rollout]) -> Mapping[str, str]:
    """Return the annotation of a status; none where there is nothing to remember."""
    told = {r.component.value: found for r in rollouts if (found := _make_note(r))}
    return {NOTE: json.dumps(told, sort_keys=True)} if told else {}


def _make_note(rollout: Rollout) -> JsonObject:
    note: JsonObject = {}
    if rollout.since and rollout.ready:
        note = {"revision": rollout.ready.name, "since": rollout.since}
    if rollout.failed is not None:
        note["rolledBack"] = asdict(rollout.failed)
    return note
