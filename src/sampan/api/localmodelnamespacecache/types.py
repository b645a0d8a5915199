"""LocalModelNamespaceCache: the whole object."""

from __future__ import annotations

from pydantic import Field

from sampan.api.localmodelcache.spec_types import LocalModelCacheSpec, LocalModelCacheStatus
from sampan.api.view import ObjectMeta, View


class LocalModelNamespaceCache(View):
    """A model kept on nodes before a service asks for it, for one namespace."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha1`."""
    kind: str
    """`LocalModelNamespaceCache`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
    spec: LocalModelCacheSpec | None = None
    """Which model, and where."""
    status: LocalModelCacheStatus | None = None
    """How the copies are."""
