"""LLMInferenceServiceConfig in its older version, v1alpha1."""

from __future__ import annotations

from pydantic import Field

from sampan.api.llminferenceservice.status_types import LLMStatusBase
from sampan.api.llminferenceservice.v1alpha1_types import LLMInferenceServiceSpecV1alpha1
from sampan.api.view import ObjectMeta, View


class LLMInferenceServiceConfigV1alpha1(View):
    """A part that LLMInferenceServices are made from."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha1`."""
    kind: str
    """`LLMInferenceServiceConfig`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
    spec: LLMInferenceServiceSpecV1alpha1 | None = None
    """What services that name it take over."""
    status: LLMStatusBase | None = None
    """What is known of it."""
