"""Everything that `definitions.json` holds: the kinds, and the core types that they refer to."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api.clusterservingruntime.types import ClusterServingRuntime
from sampan.api.inferenceservice.types import InferenceService
from sampan.api.schema.derive_core import derive_core
from sampan.api.schema.derive_kinds import derive_views
from sampan.api.servingruntime.types import ServingRuntime
from sampan.machinery.registry import JsonObject

_CORE_KINDS = ("ConfigMap", "Secret", "Namespace", "ServiceAccount", "Event")
_PARTS = ("PodSpec", "Container", "HorizontalPodAutoscalerBehavior", "DeploymentStrategy")


def derive_definitions(texts: Mapping[str, str]) -> dict[str, JsonObject]:
    """Return every definition by name. `texts` are the modules of `lightkube-models`.

    Raise ValueError when a view has the name of a core type, which would hide it.
    """
    core = derive_core(texts, (*_CORE_KINDS, *_PARTS, "ObjectMeta"))
    views = derive_views((InferenceService, ServingRuntime, ClusterServingRuntime))
    both = sorted(core.keys() & views.keys())
    if both:
        raise ValueError(f'view "{both[0]}" has the name of a core type; rename the view')
    return core | views
