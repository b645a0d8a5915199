"""Rules about the model, its adapters and its key (upstream's webhook, in its words)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from sampan.api.llminferenceservice.review import invalid, required
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject

_KEY_ADDRESS = re.compile(r"kbs:///[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+")
_ADAPTERS = "spec.model.lora.adapters"


def names_adapters_apart(service: JsonObject) -> Iterator[FieldError]:
    """Adapters have names, each its own, none the model's, and none that leaves a folder."""
    model = _model(service)
    adapters = (model.get("lora") or {}).get("adapters")
    if not isinstance(adapters, list):
        if adapters is not None:
            yield invalid(_ADAPTERS, adapters, "adapters must be a list of models")
        return
    base = model.get("name") or service["metadata"].get("name", "")
    first: dict[str, int] = {}
    for index, adapter in enumerate(adapters):
        path = f"{_ADAPTERS}[{index}].name"
        name = adapter.get("name") if isinstance(adapter, dict) else None
        if not name:
            yield required(path, "adapter name is required")
        elif name in (".", ".."):
            text = 'adapter name must not include "." or ".." (path traversal risk)'
            yield invalid(path, name, text)
        else:
            yield from _named(path, name, base, first.setdefault(str(name), index), index)


def _named(path: str, name: Any, base: str, first: int, index: int) -> Iterator[FieldError]:
    if first != index:
        yield invalid(path, name, f"duplicate name (same as adapters[{first}])")
    if name == base:
        text = f"adapter name must differ from base model name {json.dumps(base)}"
        yield invalid(path, name, text)


def encrypts_rightly(service: JsonObject) -> Iterator[FieldError]:
    """The key of an encrypted model has an address at the broker."""
    confidential = _model(service).get("confidential") or {}
    address = confidential.get("resourceId")
    if confidential.get("enabled") and address and not _KEY_ADDRESS.fullmatch(address):
        text = "must be in the format kbs:///<repo>/<type>/<tag>"
        yield invalid("spec.model.confidential.resourceId", address, text)


def encryption_warnings(service: JsonObject) -> Iterator[str]:
    """Yield where encryption is asked for and has no effect."""
    model = _model(service)
    enabled = (model.get("confidential") or {}).get("enabled")
    uri = str(model.get("uri", ""))
    if enabled and uri.startswith("oci://"):
        yield (
            "confidential has no effect with OCI URIs; OCI image decryption is handled by the "
            "container runtime via runtimeClassName"
        )
    if enabled and uri.startswith("pvc://"):
        yield "confidential has no effect with PVC URIs; nothing is downloaded that could be opened"


def _model(service: JsonObject) -> JsonObject:
    return (service.get("spec") or {}).get("model") or {}
