"""ClusterStorageContainer: the whole object."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sampan.api.view import Core, ObjectMeta, View, facts
from sampan.machinery.registry import JsonObject


class SupportedUriFormat(View):
    """Storage URIs that the container fetches: those of a prefix, else those of a pattern."""

    prefix: str | None = None
    """How the URI starts."""
    regex: str | None = None
    """A pattern that is found anywhere in the URI; not asked where there is a prefix."""


class StorageContainerSpec(View):
    """A container, and the storage URIs that it fetches."""

    container: Annotated[JsonObject, Core("Container")]
    """The container; its arguments are the URI and the folder to fill."""
    supported_uri_formats: list[SupportedUriFormat]
    """The storage URIs that it fetches."""
    workload_type: Annotated[str | None, facts(default="initContainer")] = None
    """`initContainer`: before a server starts; `localModelDownloadJob`: for a local model cache."""
    supports_multi_model_download: Annotated[bool | None, facts(default=False)] = None
    """Whether it takes several pairs of URI and folder at once."""


class ClusterStorageContainer(View):
    """A container that fetches models, for every namespace."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha1`."""
    kind: str
    """`ClusterStorageContainer`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, labels and annotations."""
    spec: StorageContainerSpec | None = None
    """The container, and what it fetches."""
    disabled: bool | None = None
    """Whether the container is out of use."""
