"""Which LocalModelCaches are allowed: KServe's rule (`localmodelcache_validator.go`)."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.admission import Mistake, judged
from sampan.api.localmodelcache.rules import admit_cache
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def caches_no_model_twice(
    cache: JsonObject, neighbours: tuple[JsonObject, ...]
) -> Iterator[Mistake]:
    """No other cache is of the same model."""
    uri = (cache.get("spec") or {}).get("sourceModelUri", "")
    for other in neighbours:
        name = other["metadata"]["name"]
        same = uri == (other.get("spec") or {}).get("sourceModelUri", "")
        if same and name != cache["metadata"].get("name"):
            text = f"LocalModelCache {name} has the same StorageURI {uri}"
            yield Mistake("spec.sourceModelUri", text)


def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Check a cache against its schema (422) and the other caches (403)."""
    admitted = admit_cache("LocalModelCache", obj, old)
    if admitted.errors or admitted.obj["metadata"].get("deletionTimestamp"):
        return admitted
    return judged(admitted.obj, caches_no_model_twice(admitted.obj, context.neighbours))
