"""The kinds that Sampan serves, as one table: `REGISTRY`.

Importing this file is cheap: schemas, admission and field checks are named here and imported when
they are first called. A new kind is a folder of `sampan.api` with the four files, and one
`Resource` here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

from sampan.api.scheme_access import ACCESS_RESOURCES
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import (
    AdmissionContext,
    Admit,
    Admitted,
    Column,
    DeleteGuard,
    JsonObject,
    OlderVersion,
    Registry,
    Resource,
)

GROUP = "serving.kserve.io"


def _admit(folder: str) -> Admit:
    """Return the admission of `sampan.api.{folder}`, imported at its first call."""

    def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
        admitted: Admitted = import_module(f"sampan.api.{folder}.validation").admit(
            obj, old, context
        )
        return admitted

    return admit


def _cache_users(cache: JsonObject) -> tuple[tuple[str, str, str], ...]:
    from sampan.api.localmodelcache.deletion import users

    return users(cache)


def _refuse_cache_delete(cache: JsonObject, services: tuple[JsonObject, ...]) -> str:
    from sampan.api.localmodelcache.deletion import refuse_delete

    return refuse_delete(cache, services)


def _schema(kind: str) -> Callable[[], JsonObject]:
    """Return the structural schema of a kind, loaded at its first call."""

    def schema() -> JsonObject:
        from sampan.api.schema.definitions import schema_of

        return schema_of(kind)

    return schema


def _unknown(kind: str) -> Callable[[JsonObject], list[FieldError]]:
    """Return the unknown-field check of a kind."""

    def unknown(obj: JsonObject) -> list[FieldError]:
        from sampan.api.schema.definitions import schema_of
        from sampan.api.schema.fields import unknown_fields

        return unknown_fields(schema_of(kind), obj)

    return unknown


def _checked(resource: Resource) -> Resource:
    """Return the resource with the schema, field check and admission of its kind's folder."""
    kind = resource.kind
    return replace(
        resource, admit=_admit(kind.lower()), schema=_schema(kind), unknown=_unknown(kind)
    )


def _converted(name: str) -> Callable[[JsonObject], JsonObject]:
    """Return a function of `sampan.api.llminferenceservice.conversion`, imported when called."""

    def convert(obj: JsonObject) -> JsonObject:
        module = import_module("sampan.api.llminferenceservice.conversion")
        converted: JsonObject = getattr(module, name)(obj)
        return converted

    return convert


def _with_v1alpha1(resource: Resource) -> Resource:
    """Return the resource served in v1alpha1 too; that version's schema has a name of its own."""
    definition = f"{resource.kind}V1alpha1"
    older = replace(
        resource, version="v1alpha1", schema=_schema(definition), unknown=_unknown(definition)
    )
    version = OlderVersion(older, _converted("make_stored"), _converted("make_older"))
    return replace(resource, older=(version,))


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

_LATEST = ".status.components.predictor.traffic[?(@.latestRevision==true)]"
_PREVIOUS = ".status.components.predictor.traffic[?(@.tag=='prev')]"

_SERVICE_COLUMNS = (
    Column("URL", ".status.url"),
    Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
    Column("Prev", f"{_PREVIOUS}.percent", "integer"),
    Column("Latest", f"{_LATEST}.percent", "integer"),
    Column("PrevRolledoutRevision", f"{_PREVIOUS}.revisionName"),
    Column("LatestReadyRevision", f"{_LATEST}.revisionName"),
    _AGE,
)

_RUNTIME_COLUMNS = (
    Column("Disabled", ".spec.disabled", "boolean"),
    Column("ModelType", ".spec.supportedModelFormats[*].name"),
    Column("Containers", ".spec.containers[*].name"),
    _AGE,
)

_ADDRESS_COLUMNS = (
    Column("URL", ".status.url"),
    Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
    _AGE,
)

_READY_COLUMNS = (
    Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
    Column("Reason", ".status.conditions[?(@.type=='Ready')].reason"),
    _AGE,
)

_EVENT_COLUMNS = (
    Column("Last Seen", ".lastTimestamp", "date"),
    Column("Type", ".type"),
    Column("Reason", ".reason"),
    Column("Kind", ".involvedObject.kind"),
    Column("Object", ".involvedObject.name"),
    Column("Source", ".source.component", priority=1),
    Column("First Seen", ".firstTimestamp", "date", priority=1),
    Column("Count", ".count", "integer", priority=1),
    Column("Message", ".message"),
)

_RESOURCES = (
    Resource(
        group=GROUP,
        version="v1beta1",
        kind="InferenceService",
        plural="inferenceservices",
        singular="inferenceservice",
        short_names=("isvc",),
        categories=("all",),
        status_subresource=True,
        columns=_SERVICE_COLUMNS,
    ),
    Resource(
        group=GROUP,
        version="v1alpha1",
        kind="ServingRuntime",
        plural="servingruntimes",
        singular="servingruntime",
        columns=_RUNTIME_COLUMNS,
        sees_neighbours=True,
    ),
    Resource(
        group=GROUP,
        version="v1alpha1",
        kind="ClusterServingRuntime",
        plural="clusterservingruntimes",
        singular="clusterservingruntime",
        namespaced=False,
        columns=_RUNTIME_COLUMNS,
        sees_neighbours=True,
    ),
    Resource(
        group=GROUP,
        version="v1alpha1",
        kind="InferenceGraph",
        plural="inferencegraphs",
        singular="inferencegraph",
        short_names=("ig",),
        categories=("all",),
        status_subresource=True,
        columns=_ADDRESS_COLUMNS,
    ),
    Resource(
        group=GROUP,
        version="v1alpha1",
        kind="TrainedModel",
        plural="trainedmodels",
        singular="trainedmodel",
        short_names=("tm",),
        categories=("all",),
        status_subresource=True,
        columns=_ADDRESS_COLUMNS,
    ),
    Resource(
        group=GROUP,
        version="v1alpha1",
        kind="ClusterStorageContainer",
        plural="clusterstoragecontainers",
        singular="clusterstoragecontainer",
        namespaced=False,
    ),
    Resource(
        group=GROUP,
        version="v1alpha1",
        kind="LocalModelCache",
        plural="localmodelcaches",
        singular="localmodelcache",
        namespaced=False,
        status_subresource=True,
        sees_neighbours=True,
        delete_guard=DeleteGuard(_cache_users, _refuse_cache_delete),
    ),
    Resource(
        group=GROUP,
        version="v1alpha1",
        kind="LocalModelNamespaceCache",
        plural="localmodelnamespacecaches",
        singular="localmodelnamespacecache",
        status_subresource=True,
    ),
    Resource(
        group=GROUP,
        version="v1alpha1",
        kind="LocalModelNodeGroup",
        plural="localmodelnodegroups",
        singular="localmodelnodegroup",
        namespaced=False,
    ),
    Resource(
        group=GROUP,
        version="v1alpha1",
        kind="LocalModelNode",
        plural="localmodelnodes",
        singular="localmodelnode",
        namespaced=False,
        status_subresource=True,
    ),
    Resource(
        group=GROUP,
        version="v1alpha2",
        kind="LLMInferenceService",
        plural="llminferenceservices",
        singular="llminferenceservice",
        short_names=("llmisvc",),
        categories=("all",),
        status_subresource=True,
        columns=(
            Column("URL", ".status.url"),
            *_READY_COLUMNS,
            Column("URLs", ".status.addresses[*].url", priority=1),
        ),
    ),
    Resource(
        group=GROUP,
        version="v1alpha2",
        kind="LLMInferenceServiceConfig",
        plural="llminferenceserviceconfigs",
        singular="llminferenceserviceconfig",
        status_subresource=True,
        columns=_READY_COLUMNS,
    ),
    Resource(
        group="",
        version="v1",
        kind="ConfigMap",
        plural="configmaps",
        singular="configmap",
        short_names=("cm",),
        generation=False,
        # A map under an integer column is shown as its size, as kubectl shows DATA.
        columns=(Column("Data", ".data", "integer"), _AGE),
    ),
    Resource(
        group="",
        version="v1",
        kind="Secret",
        plural="secrets",
        singular="secret",
        generation=False,
        columns=(Column("Type", ".type"), Column("Data", ".data", "integer"), _AGE),
    ),
    Resource(
        group="",
        version="v1",
        kind="Namespace",
        plural="namespaces",
        singular="namespace",
        short_names=("ns",),
        namespaced=False,
        status_subresource=True,
        generation=False,
        columns=(Column("Status", ".status.phase"), _AGE),
    ),
    Resource(
        group="",
        version="v1",
        kind="ServiceAccount",
        plural="serviceaccounts",
        singular="serviceaccount",
        short_names=("sa",),
        generation=False,
        columns=(Column("Secrets", ".secrets", "integer"), _AGE),
    ),
    Resource(
        group="",
        version="v1",
        kind="Event",
        plural="events",
        singular="event",
        short_names=("ev",),
        generation=False,
        columns=_EVENT_COLUMNS,
    ),
    Resource(
        group="apps",
        version="v1",
        kind="ControllerRevision",
        plural="controllerrevisions",
        singular="controllerrevision",
        generation=False,
        columns=(
            Column("Controller", ".metadata.ownerReferences[0].name"),
            Column("Revision", ".revision", "integer"),
            _AGE,
        ),
    ),
    *ACCESS_RESOURCES,
)

_IN_TWO_VERSIONS = ("LLMInferenceService", "LLMInferenceServiceConfig")

REGISTRY = Registry(
    tuple(
        _with_v1alpha1(_checked(r)) if r.kind in _IN_TWO_VERSIONS else _checked(r)
        for r in _RESOURCES
    )
)
"""Every kind, in the order of discovery."""
