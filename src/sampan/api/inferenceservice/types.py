"""InferenceService: the whole object, and its schema."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sampan.api.inferenceservice.component_types import Canary, Explainer, Predictor, Transformer
from sampan.api.inferenceservice.status_types import Status
from sampan.api.view import ObjectMeta, View, facts


class Spec(View):
    """What is wanted: a predictor, and what stands before and beside it."""

    predictor: Predictor
    """Serves the model."""
    transformer: Transformer | None = None
    """Prepares requests for the predictor and finishes its responses."""
    explainer: Explainer | None = None
    """Explains predictions."""
    canary: Annotated[list[Canary] | None, facts(x_kubernetes_list_type="atomic")] = None
    """Further predictors that get a share of the traffic (Standard mode)."""


class InferenceService(View):
    """A model behind an address, with what prepares its requests and explains its predictions."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1beta1`."""
    kind: str
    """`InferenceService`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
    spec: Spec | None = None
    """What is wanted."""
    status: Status | None = None
    """What is known."""
