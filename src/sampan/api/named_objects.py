"""Which other objects an object names. Pure.

The fields are Kubernetes's and KServe's own; each names an object of one kind in the namespace of
the object that it stands in, or one of the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SHIPPED_SECRET = "storage-config"  # noqa: S105  # KServe's default name of an object, no secret
_FIELDS = {
    ("secretKeyRef", "name"): "Secret",
    ("secretRef", "name"): "Secret",
    ("secret", "secretName"): "Secret",
    ("imagePullSecrets", "name"): "Secret",
    ("configMapKeyRef", "name"): "ConfigMap",
    ("configMapRef", "name"): "ConfigMap",
    ("configMap", "name"): "ConfigMap",
    ("persistentVolumeClaim", "claimName"): "PersistentVolumeClaim",
}
_PLAIN = {
    "serviceAccountName": "ServiceAccount",
    "serviceName": "InferenceService",
    "inferenceService": "InferenceService",
    "storageContainerName": "ClusterStorageContainer",
}
"""Fields whose name alone tells the kind. `serviceName` is that of a graph's step."""


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """An object that another one names."""

    kind: str
    name: str


def named_objects(obj: Mapping[str, Any]) -> list[Named]:
    """Return what an object names, each once, in the order of kind and name."""
    found = set(_walk("", obj.get("spec") or {}))
    if obj.get("kind") == "InferenceService":
        found |= set(_of_service(obj))
    elif obj.get("kind") == "ServiceAccount":
        for field in ("secrets", "imagePullSecrets"):
            found |= {Named("Secret", str(s["name"])) for s in obj.get(field) or () if "name" in s}
    return sorted(found)


def _walk(parent: str, value: Any) -> Iterator[Named]:
    if isinstance(value, list):
        for item in value:
            yield from _walk(parent, item)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            kind = _FIELDS.get((parent, key)) or _PLAIN.get(key)
            if kind and isinstance(part, str) and part:
                yield Named(kind, part)
            else:
                yield from _walk(key, part)


def _of_service(service: Mapping[str, Any]) -> Iterator[Named]:
    status, spec = service.get("status") or {}, service.get("spec") or {}
    predictor = spec.get("predictor") or {}
    chosen = status.get("servingRuntimeName")
    if chosen:
        yield Named("ServingRuntime", str(chosen))
    elif status.get("clusterServingRuntimeName"):
        yield Named("ClusterServingRuntime", str(status["clusterServingRuntimeName"]))
    model = predictor.get("model") or {}
    if (model.get("storage") or {}).get("key"):
        yield Named("Secret", SHIPPED_SECRET)
    for uri in (model.get("storageUri"), *(u.get("uri") for u in predictor.get("storageUris", ()))):
        if isinstance(uri, str) and uri.startswith("pvc://"):
            yield Named("PersistentVolumeClaim", uri.removeprefix("pvc://").partition("/")[0])
