"""From what is seen of a model in shared processes to what should be, as steps. Pure.

ModelMesh's order of an update: the new model is brought and loaded while the old one answers; then
the name leads to the new one, and the old one goes. One that does not load changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.plan.observed import LinkState, MeshSeen, Observed
from sampan.plan.types import MeshModel
from sampan.platforms.base import Difference
from sampan.platforms.local.desired import Desired
from sampan.platforms.local.diff import make_publication
from sampan.platforms.local.steps import ActivateModel, LocalStep, PlaceModel, Publish

_ANSWERS = ("Loaded", "Standby")


def diff_model(
    desired: Desired, model: MeshModel, observed: Observed, now: float
) -> Difference[LocalStep]:
    """Return the steps for a service whose model others' processes hold."""
    seen = observed.mesh
    steps: list[LocalStep] = []
    if seen is None or _must_place(model, seen, now):
        steps.append(PlaceModel(model))
    else:
        steps += _activate(model, seen)
    placed = seen is not None and seen.host == model.host.name
    if placed and make_publication(desired.route, ()) != observed.published:
        steps.append(Publish(desired.route, ()))
    failed = seen is not None and seen.download.state is LinkState.FAILED
    again = seen.download.retry_at if seen is not None and failed else 0.0
    return Difference(tuple(steps), again if again > now else 0.0)


def _must_place(model: MeshModel, seen: MeshSeen, now: float) -> bool:
    download = seen.download
    if seen.target.id != model.id or download.state is LinkState.WAITING:
        return True
    if download.state is LinkState.FAILED:
        return download.retry_at <= now
    if download.state is LinkState.RUNNING:
        return False
    return seen.host != model.host.name or seen.settings != model.settings


def _activate(model: MeshModel, seen: MeshSeen) -> Iterator[LocalStep]:
    active = seen.active.id if seen.active else ""
    if active != model.id and seen.target.state in _ANSWERS:
        yield ActivateModel(model.id)
