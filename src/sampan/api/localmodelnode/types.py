"""LocalModelNode: the whole object."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sampan.api.localmodelcache.spec_types import LocalModelStorage
from sampan.api.view import ObjectMeta, View, facts

_MODEL_STATES = [
    "",
    "ModelDownloadPending",
    "ModelDownloading",
    "ModelDownloaded",
    "ModelDownloadError",
]


class LocalModelInfo(View):
    """A model that the node is to keep."""

    source_model_uri: str
    """Where the model comes from."""
    model_name: str
    """Name of the cache that asks for it."""
    namespace: str | None = None
    """Namespace of that cache; absent: it is a LocalModelCache."""
    node_group: str | None = None
    """The group that the node belongs to."""
    service_account_name: str | None = None
    """The ServiceAccount whose credentials fetch the model."""
    storage: LocalModelStorage | None = None
    """Credentials by an entry of the storage Secret."""


class LocalModelNodeSpec(View):
    """What the node is to keep."""

    local_models: list[LocalModelInfo]
    """The models."""


class LocalModelNodeStatus(View):
    """What the node keeps."""

    model_status: dict[str, Annotated[str, facts(enum=_MODEL_STATES)]] | None = None
    """How each copy is, by `name`, or by `namespace/name` for a namespace's cache."""


class LocalModelNode(View):
    """The models that one node keeps; written by controllers, one for each node."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha1`."""
    kind: str
    """`LocalModelNode`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """The node's name."""
    spec: LocalModelNodeSpec | None = None
    """What it is to keep."""
    status: LocalModelNodeStatus | None = None
    """What it keeps."""
