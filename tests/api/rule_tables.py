"""The tables of rules in `rules/`: what an object says, and the exact words of its refusal.

A table is of one kind: an object that keeps every rule, and rows. A row changes that object
(`spec`, like any other field of the top, takes the place of the whole; labels and annotations are
added), says what was there before (an update) or beside it, and which words come first, about
which field.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sampan.api.scheme import REGISTRY
from sampan.machinery.registry import AdmissionContext, Admitted

Json = dict[str, Any]
TABLES = Path(__file__).parent / "rules"
ADDED = ("labels", "annotations")
NOT_REPLACED = {
    "rule",
    "before",
    "beside",
    "at",
    "says",
    "warns",
    "name",
    "deletionTimestamp",
    *ADDED,
}


@dataclass(frozen=True)
class Row:
    """One object, and what is answered."""

    kind: str
    rule: str
    """A sentence: what is wrong with the object."""
    obj: Json
    before: Json | None
    neighbours: tuple[Json, ...]
    at: str
    """The field that the answer is about."""
    says: str
    """The answer's first text; of a warning, all of it."""
    warns: bool
    """Whether the object is allowed, with a warning."""

    def admitted(self) -> Admitted:
        """Ask admission."""
        resource = REGISTRY.for_object(self.obj)
        assert resource is not None
        assert resource.admit is not None
        return resource.admit(self.obj, self.before, AdmissionContext({}, self.neighbours))


def read_rows() -> list[Row]:
    """Return every row of every table."""
    tables = [yaml.safe_load(path.read_text()) for path in sorted(TABLES.glob("*.yaml"))]
    return [_row(table["object"], row) for table in tables for row in table["rows"]]


def _row(sound: Json, row: Json) -> Row:
    before = row.get("before")
    return Row(
        kind=sound["kind"],
        rule=row["rule"],
        obj=_changed(sound, row),
        before=None if before is None else _changed(sound, before),
        neighbours=tuple(_changed(sound, other) for other in row.get("beside", ())),
        at=row.get("at", ""),
        says=row["warns"] if "warns" in row else row["says"],
        warns="warns" in row,
    )


def _changed(sound: Json, change: Json) -> Json:
    obj: Json = copy.deepcopy(sound)
    obj |= copy.deepcopy({key: part for key, part in change.items() if key not in NOT_REPLACED})
    metadata = obj["metadata"]
    metadata |= {key: change[key] for key in ("name", "deletionTimestamp") if key in change}
    for key in ADDED:
        if key in change:
            metadata[key] = {**metadata.get(key, {}), **change[key]}
    return obj
