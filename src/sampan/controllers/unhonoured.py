"""What to tell someone who applies an object: what of it has no effect here."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.autoscaler.silences import Silence
from sampan.controllers.gather import Sources, gather_for
from sampan.controllers.inferencegraph import gather_graph
from sampan.controllers.scaling_settings import (
    gather_defaults,
    is_config_autoscaler,
    parse_defaults,
    scaling_warnings,
)
from sampan.controllers.unbuilt import make_unbuilt_warnings
from sampan.machinery.registry import JsonObject
from sampan.plan.build import build_plan
from sampan.plan.fields.table import make_field_warnings
from sampan.plan.fields.verdicts import Where
from sampan.plan.graph_build import build_graph_plan


async def unhonoured(sources: Sources, obj: JsonObject) -> list[str]:
    """Return a sentence for each field that this platform does not honour, or for the kind."""
    if is_config_autoscaler(obj):
        return list(parse_defaults(obj)[1])
    if obj.get("kind") == "InferenceGraph":
        plan = build_graph_plan(await gather_graph(sources, obj))
        scaling: Iterator[Silence] = iter(())
    elif obj.get("kind") != "InferenceService":
        return make_kind_warnings(obj)
    else:
        snapshot = await gather_for(sources, obj)
        plan = build_plan(snapshot)
        scaling = scaling_warnings(snapshot, plan, await gather_defaults(sources.store))
    warnings = (*plan.warnings, *scaling, *sources.platform.warnings(plan))
    if obj.get("kind") == "InferenceGraph":
        warnings = tuple((_path_in_graph(path), text) for path, text in warnings)
    return [f"{path}: {sentence}" for path, sentence in dict.fromkeys(warnings)]


def _path_in_graph(path: str) -> str:
    """A graph's spec holds what the pod and the container of its router are given."""
    return path.replace("spec.router.containers[0].", "spec.").replace("spec.router.", "spec.")


def make_kind_warnings(obj: JsonObject) -> list[str]:
    """Return what has no effect of an object that no service is planned of. Pure.

    Of a kind on which nothing acts that is said once, not field by field.
    """
    listed = make_field_warnings(str(obj.get("kind")), obj, Where.LOCAL)
    return make_unbuilt_warnings(obj) or [f"{path}: {sentence}" for path, sentence in listed]
