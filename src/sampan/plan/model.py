"""Where a predictor's model comes from, and whether it may run code when loaded.

KServe, storage handling: `storageUri` (one, at `/mnt/models`), `storageUris` (several, each with
its mount path), or a `storage` spec that names a Secret. The schemes are KServe's; whether a
platform can fetch a scheme shows when it tries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.plan.service import MAIN_CONTAINER, annotations_of, model, predictor
from sampan.plan.types import Blocked, ModelSource

MODEL_PATH = "/mnt/models"
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


def make_model_location(service: Mapping[str, Any]) -> ModelLocation:
    """Return where the predictor's model is; none when its container brings or finds its own."""
    wanted = model(service) or {}
    uri, storage = _single_uri(service), wanted.get("storage") or {}
    several = predictor(service).get("storageUris") or ()
    check = next(
        (
            found
            for found in (_check_one_source(uri, storage, several), _check_storage(storage))
            if found
        ),
        None,
    )
    if check:
        return ModelLocation(blocked=check)
    trusted = annotations_of(service).get(TRUST) == "true"
    sources = (
        (ModelSource(uri, MODEL_PATH, trusted),)
        if uri
        else tuple(
            ModelSource(str(s["uri"]), str(s.get("mountPath") or MODEL_PATH), trusted)
            for s in several
        )
    )
    unsupported = next((s for s in sources if not _is_supported(s.uri)), None)
    if unsupported:
        return ModelLocation(blocked=_unsupported(unsupported.uri))
    return ModelLocation(sources)


def has_storage(service: Mapping[str, Any]) -> bool:
    """Return whether the model names a place; `storageUris` counts (it does not in KServe)."""
    wanted = model(service) or {}
    return bool(
        wanted.get("storageUri") or wanted.get("storage") or predictor(service).get("storageUris")
    )


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


def _check_storage(storage: Mapping[str, Any]) -> Blocked | None:
    """A storage spec names an entry of a Secret; fetching from it is not built."""
    if not storage:
        return None
    return Blocked(
        "StorageSpecNotSupported",
        f'spec.predictor.model.storage (key "{storage.get("key", "")}", path '
        f'"{storage.get("path", "")}") cannot be read here; give the whole location in '
        "spec.predictor.model.storageUri",
    )


def _is_supported(uri: str) -> bool:
    """A URI without a scheme is a local path."""
    known = SCHEMES + _FROM_STORAGE_CONTAINER
    return not _HAS_SCHEME.search(uri) or uri.startswith(known)


def _unsupported(uri: str) -> Blocked:
    return Blocked(
        INVALID_SPEC,
        f"StorageURI not supported: storageUri, must be one of: [{', '.join(SCHEMES)}] or match "
        "https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path. "
        f"StorageUri [{uri}] is not supported",
    )
