"""Which containers of a pod template run here, and which of them serves. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KSERVE_CONTAINER = "kserve-container"
TRANSFORMER_CONTAINER = "transformer-container"


def main_container(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container of the model: `kserve-container`, else the first (KServe's rule)."""
    containers = (template.get("spec") or {}).get("containers") or [{}]
    named = [c for c in containers if c.get("name") == KSERVE_CONTAINER]
    found: Mapping[str, Any] = named[0] if named else containers[0]
    return found


def serving_containers(template: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the containers that run here, the one that takes the requests first.

    A collocated transformer takes them (KServe: the Service's ports are its); any other container
    beside the model's is not run.
    """
    main = main_container(template)
    containers = (template.get("spec") or {}).get("containers") or ()
    transformers = tuple(c for c in containers if c.get("name") == TRANSFORMER_CONTAINER)
    return (*transformers, main) if transformers and main not in transformers else (main,)


def split_template(template: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return a template of one container for each that runs here."""
    found = serving_containers(template)
    if len(found) == 1:
        return (template,)
    spec = template.get("spec") or {}
    return tuple({**template, "spec": {**spec, "containers": [one]}} for one in found)
