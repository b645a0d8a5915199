"""A report as text for people, or as JSON for programs. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from sampan.migration.check import OwnerReport, Report
from sampan.migration.compare import ChildReport, FieldChange

_LONGEST = 80


def render_text(report: Report) -> str:
    """Return what would change, object by object, and a sentence at the end."""
    return "\n".join(_lines(report))


def render_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON: field names as in the dataclasses, plus the sums."""
    owners = [{**asdict(owner), "changes": owner.changes} for owner in report.owners]
    return {
        "owners": owners,
        "concerns": list(report.concerns),
        "restarts": report.restarts,
        "clean": report.clean,
    }


def _lines(report: Report) -> Iterator[str]:
    for owner in report.owners:
        yield from _owner_lines(owner)
    for concern in report.concerns:
        yield f"! {concern}"
    children = [child for owner in report.owners for child in owner.children]
    equal = sum(child.state == "equal" for child in children)
    yield (
        f"{len(report.owners)} services and graphs, {len(children)} objects: {equal} equal, "
        f"{len(children) - equal} not; {report.restarts} workloads would start their pods anew"
    )


def _owner_lines(owner: OwnerReport) -> Iterator[str]:
    equal = sum(child.state == "equal" for child in owner.children)
    state = f"{equal} of {len(owner.children)} objects equal"
    if owner.blocked:
        state = f"would be left as it is: {owner.blocked}"
    yield f"{owner.kind} {owner.namespace}/{owner.name}: {state}"
    if owner.refused:
        yield f"  ! an update of it would be refused: {owner.refused}"
    for warning in owner.warnings:
        yield f"  ~ has no effect: {warning}"
    for child in owner.children:
        if child.state != "equal":
            yield from _child_lines(child)


def _child_lines(child: ChildReport) -> Iterator[str]:
    restarts = ", its pods start anew" if child.restarts and child.fields else ""
    restarts = ", its pods end" if child.restarts and child.state == "deleted" else restarts
    note = f": {child.note}" if child.note else ""
    yield f"  {child.kind} {child.name}: {child.state}{restarts}{note}"
    for change in child.fields:
        yield f"    {change.path}: {_shown(change)}"


def _shown(change: FieldChange) -> str:
    before, after = (_short(value) for value in (change.before, change.after))
    return f"{before} becomes {after}"


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
