"""Whether a LocalModelCache may go: not while a service uses it (`localmodelcache_validator.go`).

Its status names the services; one counts while it is there and still carries the cache's label.
"""

from __future__ import annotations

from sampan.machinery.registry import JsonObject

LABEL = "internal.serving.kserve.io/localmodel"
"""The label of a service that uses a cache: the cache's name."""

NAMESPACE_LABEL = "internal.serving.kserve.io/localmodel-namespace"
"""The label beside it where the cache is a namespace's own, and so another one."""

_KINDS = (
    ("inferenceServices", "inferenceservices.serving.kserve.io"),
    ("llmInferenceServices", "llminferenceservices.serving.kserve.io"),
)


def users(cache: JsonObject) -> tuple[tuple[str, str, str], ...]:
    """Return resource id, namespace and name of each service that the status names."""
    status = cache.get("status") or {}
    return tuple(
        (resource, str(ref.get("namespace", "")), str(ref.get("name", "")))
        for field, resource in _KINDS
        for ref in status.get(field) or ()
    )


def refuse_delete(cache: JsonObject, services: tuple[JsonObject, ...]) -> str:
    """Return upstream's text about the first service that uses the cache; empty: it may go."""
    name = cache["metadata"]["name"]
    for service in services:
        labels = service["metadata"].get("labels") or {}
        own = service["kind"] == "LLMInferenceService" and NAMESPACE_LABEL in labels
        if labels.get(LABEL) == name and not own:
            user = f"{service['kind']} {service['metadata']['name']}"
            return f"LocalModelCache {name} is being used by {user}"
    return ""
