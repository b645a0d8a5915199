"""What to tell someone who applies an object: what of it has no effect here."""

from __future__ import annotations

from sampan.controllers.gather import Sources, gather_for
from sampan.controllers.unbuilt import make_unbuilt_warnings
from sampan.machinery.registry import JsonObject
from sampan.plan.build import build_plan


async def unhonoured(sources: Sources, obj: JsonObject) -> list[str]:
    """Return a sentence for each field that this platform does not honour, or for the kind."""
    if obj.get("kind") != "InferenceService":
        return make_unbuilt_warnings(obj)
    plan = build_plan(await gather_for(sources, obj))
    warnings = (*plan.warnings, *sources.platform.warnings(plan))
    return [f"{path}: {sentence}" for path, sentence in dict.fromkeys(warnings)]
