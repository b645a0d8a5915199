"""LLMInferenceServiceConfig: the whole object, in the version that is stored (v1alpha2).

Its spec is an LLMInferenceService's, whose texts may be templates. So the bounds of names and
paths in its routes and pools hold only for what becomes of them
(`sampan.api.schema.derive_relaxed`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sampan.api.llminferenceservice.router_types import LLMObjectRef
from sampan.api.llminferenceservice.status_types import LLMStatusBase
from sampan.api.llminferenceservice.types import LLMInferenceServiceSpec
from sampan.api.view import ObjectMeta, View, facts


class LLMInferenceServiceConfigStatus(LLMStatusBase):
    """Who uses the configuration."""

    referenced_by: Annotated[list[LLMObjectRef] | None, facts(x_kubernetes_list_type="atomic")] = (
        None
    )
    """LLMInferenceServices that use it."""


class LLMInferenceServiceConfig(View):
    """A part that LLMInferenceServices are made from."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha2`."""
    kind: str
    """`LLMInferenceServiceConfig`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
    spec: LLMInferenceServiceSpec | None = None
    """What services that name it take over."""
    status: LLMInferenceServiceConfigStatus | None = None
    """Who uses it."""
