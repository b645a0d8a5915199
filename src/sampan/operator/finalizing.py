"""The finalizer of an InferenceService: its TrainedModels go with it (KServe, finalizers)."""

from __future__ import annotations

from contextlib import suppress

from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, ListOptions
from sampan.operator.cluster import SERVICE_LABEL, Cluster

SERVICES = "inferenceservices.serving.kserve.io"
TRAINED_MODELS = "trainedmodels.serving.kserve.io"
FINALIZER = "inferenceservice.finalizers"
"""KServe's own name, so that either controller can finish what the other began."""
_MODEL_LABEL = SERVICE_LABEL.rpartition("/")[2]


def has_finalizer(service: JsonObject) -> bool:
    """Return whether the finalizer is there."""
    return FINALIZER in (service["metadata"].get("finalizers") or ())


async def apply_finalizer(cluster: Cluster, service: JsonObject) -> JsonObject:
    """Add the finalizer; return the service as it is then. Raises Conflict or NotFound."""
    metadata = service["metadata"]
    finalizers = [*(metadata.get("finalizers") or ()), FINALIZER]
    changed = {**service, "metadata": {**metadata, "finalizers": finalizers}}
    made = await cluster.store.update(SERVICES, changed)
    cluster.own["inferenceservices"].assume(made)
    return made


async def apply_farewell(cluster: Cluster, service: JsonObject) -> None:
    """Delete what Kubernetes does not collect by itself, then let the service go."""
    metadata = service["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    selected = ListOptions(label_selector=f"{_MODEL_LABEL}={name}")
    with suppress(NotFound):  # a cluster without TrainedModels
        page = await cluster.store.list(TRAINED_MODELS, namespace, selected)
        for model in page.items:
            with suppress(NotFound):
                await cluster.store.delete(
                    Key(TRAINED_MODELS, namespace, model["metadata"]["name"])
                )
    kept = [f for f in metadata.get("finalizers") or () if f != FINALIZER]
    changed = {**service, "metadata": {**metadata, "finalizers": kept}}
    with suppress(NotFound, Conflict):  # somebody else was faster: that change is looked at next
        await cluster.store.update(SERVICES, changed)
