"""TrainedModel: the whole object."""

from __future__ import annotations

from pydantic import Field

from sampan.api.inferenceservice.status_types import Address, Condition
from sampan.api.view import Int64, ObjectMeta, Quantity, View


class TrainedModelSource(View):
    """A model that is loaded into a server that runs already."""

    storage_uri: str
    """Where the model lies: `s3://`, `gs://`, `https://` or `http://`."""
    framework: str
    """The framework it was trained with; the server's own name of the format."""
    memory: Quantity
    """Memory that the model needs; it cannot be changed."""


class TrainedModelSpec(View):
    """Which model, and the service that takes it in."""

    inference_service: str
    """Name of the InferenceService, in the same namespace."""
    model: TrainedModelSource
    """The model."""


class TrainedModelStatus(View):
    """What is known of the model."""

    observed_generation: Int64 | None = None
    """Generation of the spec that this status is about."""
    conditions: list[Condition] | None = None
    """Answers about the model, sorted by type."""
    annotations: dict[str, str] | None = None
    """Further notes for tools."""
    url: str | None = None
    """Where clients reach the model."""
    address: Address | None = None
    """Where the model is reached from inside the cluster."""


class TrainedModel(View):
    """A model that is loaded into a service beside others."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha1`."""
    kind: str
    """`TrainedModel`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
    spec: TrainedModelSpec | None = None
    """What is wanted."""
    status: TrainedModelStatus | None = None
    """What is known."""
