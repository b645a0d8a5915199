"""Which resource names are GPUs.

Vendors' names are known; an operator adds more in `inferenceservice-config` (`multiNode`), a user
in an annotation. What is neither one of them nor an ordinary resource is taken for a misspelt GPU.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sampan.machinery.registry import JsonObject

GPU_TYPES_ANNOTATION = "serving.kserve.io/gpu-resource-types"

KNOWN = frozenset({"nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu", "habana.ai/gaudi"})
_ORDINARY = frozenset({"cpu", "memory", "storage", "ephemeral-storage"})
_MIG_PREFIX = "nvidia.com/mig"


def gpu_types(annotations: Mapping[str, str], custom: tuple[str, ...]) -> frozenset[str]:
    """Return all names of GPU resources; raise ValueError for a broken annotation."""
    text = annotations.get(GPU_TYPES_ANNOTATION)
    if text is None:
        return KNOWN | set(custom)
    try:
        listed = json.loads(text)
    except ValueError:
        listed = None
    if not (isinstance(listed, list) and all(isinstance(name, str) for name in listed)):
        raise ValueError(
            f'invalid {GPU_TYPES_ANNOTATION} annotation "{text}"; '
            'write a JSON list of names, as ["vendor.com/gpu"]'
        )
    return KNOWN | set(custom) | set(listed)


def unknown_resource(container: JsonObject, types: frozenset[str]) -> str | None:
    """Return a resource of the container that is neither ordinary nor a known GPU."""
    resources = container.get("resources") or {}
    for kind in ("limits", "requests"):
        for name in resources.get(kind) or {}:
            if name not in _ORDINARY | types and not name.startswith(_MIG_PREFIX):
                return str(name)
    return None
