"""Which models a service has in shared processes: the one that answers, and the one to come. Pure.

ModelMesh's VModels: a name leads to its active model until the target is loaded; then the name
leads there, at once for everybody, and the old model goes. Models never change under their id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from sampan.mesh.documents import ModelEntry, Register


@dataclass(frozen=True, slots=True)
class Placement:
    """The models of one service. `active` is None until one has been loaded."""

    service: str
    target: ModelEntry
    active: ModelEntry | None = None

    def entries(self) -> tuple[ModelEntry, ...]:
        """Return its models, the one that answers first."""
        if self.active is None or self.active.id == self.target.id:
            return (self.target,)
        return (self.active, self.target)

    def placed(self, entry: ModelEntry) -> Placement:
        """Return it with another target; what answers goes on."""
        return replace(self, target=entry)

    def activated(self) -> Placement:
        """Return it with the target answering, and nothing besides."""
        return replace(self, active=self.target)


def make_register(placements: Iterable[Placement], **settings: Any) -> Register:
    """Return what a process is told: each name leads to what answers, else to what is to come."""
    known = sorted(placements, key=lambda p: p.service)
    return Register(
        models=tuple(entry for placement in known for entry in placement.entries()),
        names={p.service: (p.active or p.target).id for p in known},
        **settings,
    )


def encode_placements(placements: Iterable[Placement]) -> bytes:
    """Return the record that a new daemon goes on from."""
    return json.dumps([asdict(p) for p in placements], indent=1, sort_keys=True).encode()


def decode_placements(text: bytes) -> tuple[Placement, ...]:
    """Return what was recorded; raise ValueError where the record is none."""
    try:
        return tuple(
            Placement(
                item["service"],
                ModelEntry(**item["target"]),
                ModelEntry(**item["active"]) if item["active"] else None,
            )
            for item in json.loads(text)
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"the record of placed models cannot be read: {error}") from error
