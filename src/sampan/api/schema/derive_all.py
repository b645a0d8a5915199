"""Everything that `definitions.json` holds: the kinds, and the core types that they refer to."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api.clusterservingruntime.types import ClusterServingRuntime
from sampan.api.clusterstoragecontainer.types import ClusterStorageContainer
from sampan.api.inferencegraph.types import InferenceGraph
from sampan.api.inferenceservice.types import InferenceService
from sampan.api.localmodelcache.types import LocalModelCache
from sampan.api.localmodelnamespacecache.types import LocalModelNamespaceCache
from sampan.api.localmodelnode.types import LocalModelNode
from sampan.api.localmodelnodegroup.types import LocalModelNodeGroup
from sampan.api.schema.derive_core import derive_core
from sampan.api.schema.derive_kinds import derive_views
from sampan.api.servingruntime.types import ServingRuntime
from sampan.api.trainedmodel.types import TrainedModel
from sampan.api.view import View
from sampan.machinery.registry import JsonObject

_CORE_KINDS = ("ConfigMap", "Secret", "Namespace", "ServiceAccount", "Event")
_PARTS = (
    "PodSpec",
    "Container",
    "HorizontalPodAutoscalerBehavior",
    "DeploymentStrategy",
    "PersistentVolumeSpec",
    "PersistentVolumeClaimSpec",
)

KINDS: tuple[type[View], ...] = (
    InferenceService,
    ServingRuntime,
    ClusterServingRuntime,
    InferenceGraph,
    TrainedModel,
    ClusterStorageContainer,
    LocalModelCache,
    LocalModelNamespaceCache,
    LocalModelNodeGroup,
    LocalModelNode,
)
"""KServe's kinds."""


def derive_definitions(texts: Mapping[str, str]) -> dict[str, JsonObject]:
    """Return every definition by name. `texts` are the modules of `lightkube-models`.

    Raise ValueError when a view has the name of a core type, which would hide it.
    """
    core = derive_core(texts, (*_CORE_KINDS, *_PARTS, "ObjectMeta"))
    views = derive_views(KINDS)
    both = sorted(core.keys() & views.keys())
    if both:
        raise ValueError(f'view "{both[0]}" has the name of a core type; rename the view')
    return core | views
