"""Fields of a core type that belong to one of KServe's types itself (`sampan.api.view.Inline`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject

LOOSE = frozenset({"minItems", "minLength", "minProperties", "pattern", "x-kubernetes-validations"})
"""Bounds that a text keeps to only once it is no template any more."""


def inlined(core: JsonObject, inline: Mapping[str, Any]) -> tuple[JsonObject, set[str]]:
    """Return the fields taken from a core type's expanded schema, and which of them are required.

    `inline` is an entry of `$inline`, as `derive_kinds` writes it.
    """
    wanted = set(inline["only"] or core["properties"]) - set(inline["without"])
    fields = {name: part for name, part in core["properties"].items() if name in wanted}
    if inline.get("loose"):
        fields = {name: loosened(part) for name, part in fields.items()}
    for name, keys in inline["lists"].items():
        fields[name] = {**fields[name], **_list_keywords(keys)}
    return fields, wanted & set(core.get("required", ())) - set(inline["optional"])


def loosened(schema: JsonObject) -> JsonObject:
    """Return a schema for texts that may still be templates."""
    kept = {k: v for k, v in schema.items() if k not in LOOSE}
    for keyword in ("items", "additionalProperties"):
        if isinstance(kept.get(keyword), dict):
            kept[keyword] = loosened(kept[keyword])
    if "properties" in kept:
        kept["properties"] = {name: loosened(part) for name, part in kept["properties"].items()}
    if "$inline" in kept:
        kept["$inline"] = [{**inline, "loose": True} for inline in kept["$inline"]]
    return kept


def _list_keywords(keys: list[str]) -> JsonObject:
    if not keys:
        return {"x-kubernetes-list-type": "atomic"}
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}
