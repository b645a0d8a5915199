"""The fields of kinds as their schemas have them, down to where Kubernetes's own types begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from sampan.api.schema.definitions import definitions
from sampan.api.schema.derive_kinds import derive_views
from sampan.api.scheme import GROUP, REGISTRY


@dataclass(frozen=True)
class Leaf:
    """A field without fields of its own. `core`: the type of Kubernetes that it is, else ""."""

    path: str
    core: str
    part: dict[str, Any]


@cache
def own_types() -> frozenset[str]:
    """Return the types whose fields have rows of their own: KServe's, and those of core kinds."""
    kinds = [r.kind for r in REGISTRY if r.group == GROUP]
    modules = {kind: import_module(f"sampan.api.{kind.lower()}.types") for kind in kinds}
    views = derive_views(tuple(getattr(m, kind) for kind, m in modules.items()))
    return frozenset({*views, "NamespaceSpec", "ResourceQuotaSpec"})


def leaves(kind: str) -> Iterator[Leaf]:
    """Yield every leaf of a kind but those of its metadata, which are Kubernetes's."""
    for name, part in definitions()[kind].get("properties", {}).items():
        if name not in {"apiVersion", "kind", "metadata"}:
            yield from _leaves(name, part)


def _leaves(path: str, part: dict[str, Any]) -> Iterator[Leaf]:
    if "$ref" in part:
        name = part["$ref"]
        known = definitions().get(name, {})
        if name not in own_types() or not (known.get("properties") or known.get("$inline")):
            yield Leaf(path, name, part)
            return
        for inline in known.get("$inline", ()):
            yield Leaf(f"{path}.<{inline['core']}>", inline["core"], part)
        for field, inner in known.get("properties", {}).items():
            yield from _leaves(f"{path}.{field}", inner)
    elif part.get("type") == "array" and isinstance(part.get("items"), dict):
        yield from _leaves(f"{path}[]", part["items"])
    elif isinstance(part.get("additionalProperties"), dict):
        yield from _leaves(f"{path}.*", part["additionalProperties"])
    elif part.get("properties"):
        for field, inner in part["properties"].items():
            yield from _leaves(f"{path}.{field}", inner)
    else:
        yield Leaf(path, "", part)
