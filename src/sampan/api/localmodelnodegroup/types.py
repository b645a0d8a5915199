"""LocalModelNodeGroup: the whole object."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sampan.api.view import Core, ObjectMeta, Quantity, View
from sampan.machinery.registry import JsonObject


class LocalModelNodeGroupSpec(View):
    """Where the group's nodes keep models, and how much of it."""

    storage_limit: Quantity
    """Most storage for models on each node."""
    persistent_volume_spec: Annotated[JsonObject, Core("PersistentVolumeSpec")]
    """The volume on each node; its node affinity says which nodes belong to the group."""
    persistent_volume_claim_spec: Annotated[JsonObject, Core("PersistentVolumeClaimSpec")]
    """The claim by which pods use that volume."""


class LocalModelNodeGroupStatus(View):
    """How much storage there is."""

    used: Quantity | None = None
    """Storage taken by models."""
    available: Quantity | None = None
    """Storage left."""


class LocalModelNodeGroup(View):
    """Nodes that keep models, and their storage."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha1`."""
    kind: str
    """`LocalModelNodeGroup`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, labels and annotations."""
    spec: LocalModelNodeGroupSpec | None = None
    """Which nodes, and their storage."""
    status: LocalModelNodeGroupStatus | None = None
    """How much storage there is."""
