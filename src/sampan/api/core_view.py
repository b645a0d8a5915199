"""The fields that every typed view of a core kind starts with."""

from __future__ import annotations

from pydantic import Field

from sampan.api.view import ObjectMeta, View


class CoreObject(View):
    """An object of the core group."""

    api_version: str = "v1"
    """Version of the schema: `v1`."""
    kind: str = ""
    """Name of the kind."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
