"""The schemas of all kinds, loaded from `definitions.json` when first asked for.

The file is generated (`tools/generate_definitions.py`), so that a server imports neither pydantic
nor the Kubernetes models to check an object: loading and expanding takes milliseconds.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from sampan.api.schema.inline import inlined
from sampan.machinery.registry import JsonObject


@cache
def schema_of(name: str) -> JsonObject:
    """Return the structural schema of a kind or type, references expanded.

    Equal parts are shared between schemas, so nobody may change what this returns.
    """
    return _expanded(definitions()[name])


@cache
def definitions() -> dict[str, JsonObject]:
    """Return every definition by type name, with its references as they are; not to be changed."""
    text = files("sampan.api.schema").joinpath("definitions.json").read_text("utf-8")
    loaded: dict[str, JsonObject] = json.loads(text)
    return loaded


def _expanded(schema: JsonObject) -> JsonObject:
    expanded = dict(schema)
    if "$ref" in expanded:
        # What stands beside the reference (description, default) belongs to this field.
        return {**schema_of(expanded.pop("$ref")), **expanded}
    if "properties" in expanded:
        expanded["properties"] = {n: _expanded(s) for n, s in expanded["properties"].items()}
    for inline in expanded.pop("$inline", ()):
        expanded = _inlined(expanded, inline)
    for keyword in ("items", "additionalProperties"):
        if isinstance(expanded.get(keyword), dict):
            expanded[keyword] = _expanded(expanded[keyword])
    return expanded


def _inlined(schema: JsonObject, inline: JsonObject) -> JsonObject:
    """Return the schema with the fields of a core type as its own."""
    taken, required = inlined(schema_of(inline["core"]), inline)
    merged = {**schema, "properties": {**taken, **schema["properties"]}}
    if required:
        merged["required"] = sorted(required | set(schema.get("required", ())))
    return merged
