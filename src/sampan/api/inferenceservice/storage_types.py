"""Where models lie, and how their requests are logged and batched: parts of every component."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sampan.api.view import View, facts


class StorageUri(View):
    """One of several models of a component, and the folder where it is mounted."""

    uri: Annotated[str, facts(minLength=1)]
    """Where the model lies, with its scheme: `s3://bucket/path`, `hf://org/model`, `pvc://claim`."""
    mount_path: Annotated[str, facts(maxLength=255, pattern="^/.*", default="/mnt/models")] = Field(
        default="/mnt/models"
    )
    """Absolute folder in the container under which the model is found."""


StorageUris = Annotated[list[StorageUri] | None, facts(minItems=1, x_kubernetes_list_type="atomic")]


class StorageSpec(View):
    """A model by an entry of the storage Secret instead of a URI."""

    path: str | None = None
    """Path of the model in the bucket or file system."""
    schema_path: str | None = None
    """Path of a schema file; read by ModelMesh only."""
    parameters: dict[str, str] | None = None
    """Values that override the Secret's entry: `type`, `bucket`, `endpoint_url` and so on."""
    key: str | None = None
    """Name of the entry in the storage Secret; absent: `default_{type}` or `default`."""


class Confidential(View):
    """An encrypted model that is opened with a key from a key broker."""

    enabled: bool
    """Whether the model is fetched encrypted and opened inside a trusted environment."""
    resource_id: str | None = None
    """The key's address at the broker: `kbs:///repository/type/tag`."""


class LoggerStorage(View):
    """Object storage to which request and response logs go, instead of an HTTP sink."""

    path: str | None = None
    """Folder for the logs."""
    parameters: dict[str, str] | None = None
    """Values that override the Secret's entry."""
    key: str | None = None
    """Name of the entry in the storage Secret."""
    service_account_name: str | None = None
    """ServiceAccount whose credentials the logger uses."""


class Logger(View):
    """Copies of requests and responses, sent as CloudEvents."""

    url: str | None = None
    """Address of the sink; absent: the operator's default."""
    mode: Annotated[str | None, facts(enum=["all", "request", "response"])] = None
    """What is copied: `all`, `request` or `response`."""
    metadata_headers: list[str] | None = None
    """Request headers that go along as metadata."""
    metadata_annotations: list[str] | None = None
    """Annotations of the service that go along as metadata."""
    storage: LoggerStorage | None = None
    """Where logs are stored when they do not go to a URL."""
    marshaller_url: str | None = None
    """Service that turns a batch of events into a file format."""
    batch_size: int | None = None
    """Events per stored file."""
    batch_interval: str | None = None
    """Longest time, as a Go duration, before a batch that is not full is stored."""


class Batcher(View):
    """Joins single requests into batches before they reach the model server."""

    max_batch_size: int | None = None
    """Most instances in one batch."""
    max_latency: int | None = None
    """Longest wait for a batch to fill, in milliseconds."""
    timeout: int | None = None
    """Longest time for the prediction of a batch, in seconds."""
