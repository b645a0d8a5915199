"""What LocalModelCache and LocalModelNamespaceCache share: the model, and how its copies are."""

from __future__ import annotations

from typing import Annotated

from sampan.api.localmodelcache.rules import IMMUTABLE
from sampan.api.view import Quantity, View, facts

_NODE_STATES = [
    "",
    "NodeNotReady",
    "NodeDownloadPending",
    "NodeDownloading",
    "NodeDownloaded",
    "NodeDownloadError",
]


class LocalModelStorage(View):
    """Credentials of the place that a model comes from."""

    key: str | None = None
    """Entry of the storage Secret."""
    parameters: dict[str, str] | None = None
    """Settings that take the place of the entry's."""


class LocalModelCacheSpec(View):
    """A model, and the groups of nodes that keep a copy of it."""

    source_model_uri: Annotated[str, facts(x_kubernetes_validations=[dict(IMMUTABLE)])]
    """Where the model comes from; it cannot be changed."""
    model_size: Quantity
    """Size of the model, which is taken from the groups' storage limit."""
    node_groups: Annotated[list[str], facts(minItems=1)]
    """The LocalModelNodeGroups whose nodes keep a copy."""
    service_account_name: str | None = None
    """The ServiceAccount whose credentials fetch the model."""
    storage: LocalModelStorage | None = None
    """Credentials by an entry of the storage Secret, instead of a ServiceAccount's."""


class ModelCacheCopies(View):
    """How many copies there are."""

    available: int | None = None
    """Copies that are complete."""
    total: int | None = None
    """Copies that there should be."""
    failed: int | None = None
    """Copies that could not be fetched."""


class NamespacedName(View):
    """An object by namespace and name."""

    namespace: str | None = None
    """Its namespace."""
    name: str | None = None
    """Its name."""


class LocalModelCacheStatus(View):
    """How the copies are, and who uses them."""

    node_status: dict[str, Annotated[str, facts(enum=_NODE_STATES)]] | None = None
    """How each node's copy is."""
    copies: ModelCacheCopies | None = None
    """How many copies there are."""
    inference_services: list[NamespacedName] | None = None
    """The InferenceServices that use the model."""
    llm_inference_services: list[NamespacedName] | None = None
    """The LLMInferenceServices that use the model."""
