"""What happens to a pod of a service when it is created, step by step."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TypeAlias

from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.pods.accelerator import select_accelerator
from sampan.platforms.kubernetes.pods.agent import inject_agent
from sampan.platforms.kubernetes.pods.mesh_sidecar import follow_sidecar
from sampan.platforms.kubernetes.pods.metrics import make_metrics
from sampan.platforms.kubernetes.pods.storage_initializer import inject_storage
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

Step: TypeAlias = Callable[[JsonObject, Surroundings], JsonObject]
"""A pod and its surroundings in, the pod changed out; raises Forbidden."""

STEPS: tuple[Step, ...] = (
    select_accelerator,
    inject_storage,
    follow_sidecar,
    inject_agent,
    make_metrics,
)
"""In KServe's order."""


def mutate_pod(pod: JsonObject, around: Surroundings) -> JsonObject:
    """Return the pod as it should run; doing so twice changes nothing more.

    Raises Forbidden where it cannot run: a Secret that it names is missing, a mode is unknown.
    """
    for step in STEPS:
        pod = step(pod, around)
    return deepcopy(pod)
