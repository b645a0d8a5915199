"""A GPU of a kind that Google's clusters know: the node is chosen by the service's annotation."""

from __future__ import annotations

from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.pods.containers import annotations_of, with_spec
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

ACCELERATOR = "serving.kserve.io/gke-accelerator"
NODE_LABEL = "cloud.google.com/gke-accelerator"
_GPU = "nvidia.com/gpu"


def select_accelerator(pod: JsonObject, _: Surroundings) -> JsonObject:
    """Return the pod bound to nodes with the annotated GPU, where a container asks for GPUs."""
    wanted = annotations_of(pod).get(ACCELERATOR)
    containers = pod["spec"].get("containers") or ()
    limits = [(c.get("resources") or {}).get("limits") or {} for c in containers]
    if not wanted or not any(_GPU in given for given in limits):
        return pod
    selector = {**(pod["spec"].get("nodeSelector") or {}), NODE_LABEL: wanted}
    return with_spec(pod, nodeSelector=selector)
