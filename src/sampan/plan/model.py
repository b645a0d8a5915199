"""Where a predictor's model comes from, and whether it may run code when loaded.

KServe, storage handling: `storageUri` (one, at `/mnt/models`), `storageUris` (several, each with
its mount path), or a `storage` spec that names a Secret. The schemes are KServe's; whether a
platform can fetch a scheme shows when it tries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.plan.service import MAIN_CONTAINER, annotations_of, model, predictor
from sampan.plan.storage_containers import refuse_named, select_fitting
from sampan.plan.types import Blocked, ModelSource

MODEL_PATH = "/mnt/models"
SCHEME_PLACEHOLDER = "<scheme-placeholder>://"
"""Stands for the scheme until the entry of the storage Secret is read, which has it."""
MULTI_MODEL_ENV = "MULTI_MODEL_SERVER"

TRUST = "serving.sampan.dev/trust"
INVALID_SPEC = "InvalidPredictorSpec"

# In KServe's order, which its error text repeats.
SCHEMES = (
    "gs://",
    "s3://",
    "pvc://",
    "file://",
    "https://",
    "http://",
    "hdfs://",
    "webhdfs://",
    "oci://",
    "oci+native://",
    "oci+fetch://",
    "hf://",
)
# Not in KServe's own list: brought by the storage container that KServe installs.
_FROM_STORAGE_CONTAINER = ("modelscope://",)
_HAS_SCHEME = re.compile(r"\w+?://")


@dataclass(frozen=True, slots=True)
class ModelLocation:
    """The sources of a predictor's model, or why they cannot be used."""

    sources: tuple[ModelSource, ...] = ()
    blocked: Blocked | None = None


def make_model_location(
    service: Mapping[str, Any], containers: Sequence[Mapping[str, Any]] | None = None
) -> ModelLocation:
    """Return where the predictor's model is; none when its container brings or finds its own.

    `containers` are the ClusterStorageContainers, which may fetch what nobody else does; where they
    are not known (None), the one that a service names is not asked for.
    """
    wanted = model(service) or {}
    uri, storage = _single_uri(service), wanted.get("storage") or {}
    several = predictor(service).get("storageUris") or ()
    check = _check_one_source(uri, storage, several)
    if check:
        return ModelLocation(blocked=check)
    if storage.get("path"):
        uri = f"{SCHEME_PLACEHOLDER}{str(storage['path']).lstrip('/')}"
    trusted = annotations_of(service).get(TRUST) == "true"
    sources = (
        (ModelSource(uri, MODEL_PATH, trusted),)
        if uri
        else tuple(
            ModelSource(str(s["uri"]), str(s.get("mountPath") or MODEL_PATH), trusted)
            for s in several
        )
    )
    check = _check_fetchers([s.uri for s in sources], service, containers)
    return ModelLocation(blocked=check) if check else ModelLocation(sources)


def has_storage(service: Mapping[str, Any]) -> bool:
    """Return whether the model names a place; `storageUris` counts (it does not in KServe)."""
    wanted = model(service) or {}
    return bool(
        wanted.get("storageUri") or wanted.get("storage") or predictor(service).get("storageUris")
    )


def storage_of(service: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the model's `storage` spec, empty when it has none."""
    return (model(service) or {}).get("storage") or {}


def modelconfig_name(service: Mapping[str, Any]) -> str:
    """Return the ConfigMap that lists the models of a multi-model predictor, "" for any other.

    KServe, multi-model: a custom predictor says so in a variable; a model that names no place is
    one, except one that fetches by itself.
    """
    wanted = model(service)
    if wanted is None:
        first = (predictor(service).get("containers") or [{}])[0]
        env = {str(e.get("name")): str(e.get("value", "")) for e in first.get("env") or ()}
        several = env.get(MULTI_MODEL_ENV) == "true"
    else:
        fetches = (wanted.get("modelFormat") or {}).get("name") == "huggingface"
        several = not has_storage(service) and not fetches
    # KServe has one shard, the first.
    return f"modelconfig-{service['metadata']['name']}-0" if several else ""


def _single_uri(service: Mapping[str, Any]) -> str:
    """A model's `storageUri`; of a custom predictor the variable `STORAGE_URI` of its container."""
    wanted = model(service)
    if wanted is not None:
        return str(wanted.get("storageUri") or "")
    containers = predictor(service).get("containers") or [{}]
    main = next((c for c in containers if c.get("name") == MAIN_CONTAINER), containers[0])
    entries = [e for e in main.get("env") or () if e.get("name") == "STORAGE_URI"]
    return str(entries[-1].get("value") or "") if entries else ""


def _check_one_source(uri: str, storage: Mapping[str, Any], several: Any) -> Blocked | None:
    if uri and storage.get("path"):
        return Blocked(
            INVALID_SPEC,
            "must provide only one of storageUri and storage.path: "
            f'spec.predictor.model.storageUri is "{uri}" and spec.predictor.model.storage.path is '
            f'"{storage["path"]}"; remove one of them',
        )
    if uri and several:
        return Blocked(
            INVALID_SPEC,
            "Setting both StorageURI and StorageURIs is not supported.: "
            f'spec.predictor.model.storageUri is "{uri}"; move it into spec.predictor.storageUris',
        )
    return None


def _check_fetchers(
    uris: Sequence[str], service: Mapping[str, Any], containers: Sequence[Mapping[str, Any]] | None
) -> Blocked | None:
    named = str(predictor(service).get("storageContainerName") or "")
    for uri in uris:
        if named and containers is not None:
            refusal = refuse_named(uri, containers, named)
            if refusal:
                return Blocked(INVALID_SPEC, refusal)
        if not _is_supported(uri) and select_fitting(uri, containers or ()) is None:
            return _unsupported(uri)
    return None


def _is_supported(uri: str) -> bool:
    """A URI without a scheme is a local path."""
    known = (*SCHEMES, *_FROM_STORAGE_CONTAINER, SCHEME_PLACEHOLDER)
    return not _HAS_SCHEME.search(uri) or uri.startswith(known)


def _unsupported(uri: str) -> Blocked:
    return Blocked(
        INVALID_SPEC,
        f"StorageURI not supported: storageUri, must be one of: [{', '.join(SCHEMES)}] or match "
        "https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path. "
        f"StorageUri [{uri}] is not supported",
    )
