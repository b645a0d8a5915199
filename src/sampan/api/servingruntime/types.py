"""ServingRuntime: the whole object."""

from __future__ import annotations

from pydantic import Field

from sampan.api.servingruntime.spec_types import RuntimeSpec, RuntimeStatus
from sampan.api.view import ObjectMeta, View


class ServingRuntime(View):
    """How models of some formats are served, in one namespace."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha1`."""
    kind: str
    """`ServingRuntime`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
    spec: RuntimeSpec | None = None
    """Which models it serves, and how."""
    status: RuntimeStatus | None = None
    """Nothing is reported of a runtime."""
