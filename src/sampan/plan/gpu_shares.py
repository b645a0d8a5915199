"""How many nodes a model spread over GPUs needs, and how many GPUs each of them has.

KServe, multi-node: the model needs pipeline times tensor parallel size GPUs. With Ray they are
spread over a head and its workers; with the executor `mp` every node has as many as the tensor
parallel size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.plan.types import Blocked

INVALID_GPU_ALLOCATION = "InvalidGPUAllocation"
DEFAULT_GPU = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class GpuShares:
    """`nodes` counts the head too. `head` and `worker` are GPUs of one pod each."""

    pipeline: int
    tensor: int
    nodes: int
    head: int
    worker: int


def make_gpu_shares(
    pipeline: int, tensor: int, head: int, worker: int, *, by_processes: bool
) -> GpuShares | Blocked:
    """Return the shares; `head` and `worker` are the GPUs that each asks for, 0 for none asked.

    `by_processes`: the executor is `mp`, not Ray.
    """
    if by_processes:
        return GpuShares(pipeline, tensor, pipeline, tensor, tensor)
    total = pipeline * tensor
    if head >= total:
        return GpuShares(pipeline, tensor, 1, head, 0)
    each = worker or 1
    if head:
        nodes = math.ceil(total / worker) if worker else 1 + total - head
        found = GpuShares(pipeline, tensor, nodes, head, each)
    elif worker:
        nodes = math.ceil(total / worker)
        rest = total - worker * (nodes - 1)
        found = GpuShares(pipeline, tensor, nodes, rest, worker if nodes > 1 else 0)
    else:
        found = GpuShares(pipeline, tensor, total, 1, 1)
    return _checked(found)


def _checked(shares: GpuShares) -> GpuShares | Blocked:
    wanted = shares.pipeline * shares.tensor
    given = shares.head + shares.worker * (shares.nodes - 1)
    if given >= wanted:
        return shares
    return Blocked(
        INVALID_GPU_ALLOCATION,
        f"pipelineParallelSize {shares.pipeline} times tensorParallelSize {shares.tensor} needs "
        f"{wanted} GPUs, and the head's {shares.head} with {shares.nodes - 1} workers of "
        f"{shares.worker} are {given}; give the head or the workers more GPUs in their limits",
    )


def count_gpus(container: Mapping[str, Any], types: frozenset[str]) -> tuple[str, int]:
    """Return which GPU resource a container asks for, and how many (0 where it asks for none)."""
    resources = container.get("resources") or {}
    for kind in ("limits", "requests"):
        for name, amount in (resources.get(kind) or {}).items():
            if name in types or name.startswith("nvidia.com/mig"):
                return str(name), int(amount)
    return DEFAULT_GPU, 0
