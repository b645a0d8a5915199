"""Everything that `definitions.json` holds: the kinds, and the core types that they refer to."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api.clusterservingruntime.types import ClusterServingRuntime
from sampan.api.clusterstoragecontainer.types import ClusterStorageContainer
from sampan.api.inferencegraph.types import InferenceGraph
from sampan.api.inferenceservice.types import InferenceService
from sampan.api.llminferenceservice.types import LLMInferenceService
from sampan.api.llminferenceservice.v1alpha1_types import LLMInferenceServiceV1alpha1
from sampan.api.llminferenceserviceconfig.types import LLMInferenceServiceConfig
from sampan.api.llminferenceserviceconfig.v1alpha1_types import LLMInferenceServiceConfigV1alpha1
from sampan.api.localmodelcache.types import LocalModelCache
from sampan.api.localmodelnamespacecache.types import LocalModelNamespaceCache
from sampan.api.localmodelnode.types import LocalModelNode
from sampan.api.localmodelnodegroup.types import LocalModelNodeGroup
from sampan.api.schema.derive_core import derive_core
from sampan.api.schema.derive_kinds import derive_views
from sampan.api.schema.derive_relaxed import derive_relaxed
from sampan.api.servingruntime.types import ServingRuntime
from sampan.api.trainedmodel.types import TrainedModel
from sampan.api.view import View
from sampan.machinery.registry import JsonObject

_CORE_KINDS = (
    "ConfigMap",
    "Secret",
    "Namespace",
    "ServiceAccount",
    "Event",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ControllerRevision",
)
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
    LLMInferenceService,
    LLMInferenceServiceConfig,
)
"""KServe's kinds, in the version that is stored."""

OLDER: tuple[type[View], ...] = (
    LLMInferenceServiceV1alpha1,
    LLMInferenceServiceConfigV1alpha1,
)
"""Older versions of them that are served too."""

_TEMPLATED = (
    "HTTPRouteSpec",
    "InferencePoolSpec",
    "InferencePoolSpecV1alpha2",
    "LLMPod",
    "LLMWholePod",
)
"""Types whose texts are templates in an LLMInferenceServiceConfig."""


def derive_own() -> dict[str, JsonObject]:
    """Return the definitions of KServe's own types, by name."""
    views = derive_views((*KINDS, *OLDER))
    configs = ("LLMInferenceServiceConfig", "LLMInferenceServiceConfigV1alpha1")
    return views | derive_relaxed(views, configs, _TEMPLATED)


def derive_definitions(texts: Mapping[str, str]) -> dict[str, JsonObject]:
    """Return every definition by name. `texts` are the modules of `lightkube-models`.

    Raise ValueError when a view has the name of a core type, which would hide it.
    """
    core = derive_core(texts, (*_CORE_KINDS, *_PARTS, "ObjectMeta"))
    views = derive_own()
    both = sorted(core.keys() & views.keys())
    if both:
        raise ValueError(f'view "{both[0]}" has the name of a core type; rename the view')
    return core | views
