"""The tag of a runtime's image: the user's version, a GPU build or a CPU build.

KServe's rules (merging of runtime and service, image tag): an image named by digest is left alone;
`runtimeVersion` replaces the tag; otherwise some server types publish a `-gpu` tag, and vLLM a
`-cpu` repository.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TAG = re.compile(r":[\w.\-]*$")
_GPU_TAGGED = frozenset({"tensorflow-serving", "torchserve", "huggingfaceserver"})
_CPU_REPOSITORY = "vllmserver"


def make_image(image: str, runtime_version: str, server_type: str, *, gpu: bool) -> str:
    """Return the image to run. `gpu`: the container's limits name an NVIDIA GPU."""
    if "@sha256:" in image:
        return image
    tag = _TAG.search(image)
    if runtime_version:
        return f"{image[: tag.start()] if tag else image}:{runtime_version}"
    if tag is None:
        return image
    if gpu and server_type in _GPU_TAGGED and not image.endswith("-gpu"):
        return f"{image}-gpu"
    repository = image[: tag.start()]
    if not gpu and server_type == _CPU_REPOSITORY and not repository.endswith("-cpu"):
        return f"{repository}-cpu{tag[0]}"
    return image


def wants_gpu(container: Mapping[str, Any]) -> bool:
    """Return whether the container's limits name an NVIDIA GPU or a slice of one (MIG).

    Only limits count and only NVIDIA's names do, as in KServe.
    """
    limits = (container.get("resources") or {}).get("limits") or {}
    return any(key == "nvidia.com/gpu" or key.startswith("nvidia.com/mig") for key in limits)
