"""Objects drawn from the schemas of their kinds: sound ones, and ones with one part that is not."""

import re
from typing import Any

from hypothesis import strategies as st

from sampan.api.schema.definitions import schema_of
from sampan.api.scheme import REGISTRY

TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=8)
FITTING = ("/a", "/b/c", "a", "b-1", "Kind", "10.0", "5s", "https://a.b", "*")
"""Texts of which some fit every pattern there is."""
QUANTITIES = st.sampled_from(["1", "100m", "2Gi", 3, "0.5", "1500m", "1e3"])


def values(schema: Any, depth: int = 6) -> st.SearchStrategy[Any]:
    """Draw values that a schema allows; deep objects get only what they must have."""
    if schema.get("x-kubernetes-int-or-string"):
        return QUANTITIES
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object":
            return objects(schema, depth)
        case "array":
            fewest = schema.get("minItems", 0)
            items = values(schema["items"], depth - 1)
            # One item at most: items of a keyed list must differ, and one always does.
            return st.lists(items, min_size=fewest, max_size=max(1, fewest))
        case "integer":
            return st.integers(schema.get("minimum", 0), schema.get("maximum", 10**6))
        case "boolean":
            return st.booleans()
        case _:
            return strings(schema)


def strings(schema: Any) -> st.SearchStrategy[str]:
    """Draw texts that keep a schema's format, pattern and lengths."""
    if schema.get("format") == "byte":
        return st.sampled_from(["", "YQ==", "c2FtcGFu"])
    if schema.get("format") == "date-time":
        return st.just("2026-01-31T12:00:00Z")
    if "pattern" in schema:
        fitting = [text for text in FITTING if re.search(schema["pattern"], text)]
        return st.sampled_from(fitting)
    return TEXTS.filter(lambda text: len(text) >= schema.get("minLength", 0))


@st.composite
def objects(draw: st.DrawFn, schema: Any, depth: int) -> dict[str, Any]:
    """Draw an object: its required fields, and some of the others while there is depth left."""
    properties = schema.get("properties", {})
    names = set(schema.get("required", ()))
    if depth > 0 and properties:
        names |= set(draw(st.lists(st.sampled_from(sorted(properties)), max_size=5)))
    obj = {name: draw(values(properties[name], depth - 1)) for name in sorted(names)}
    if isinstance(schema.get("additionalProperties"), dict):
        inner = values(schema["additionalProperties"], depth - 1)
        obj |= draw(st.dictionaries(st.sampled_from(["a", "b.c/d", "e-f"]), inner, max_size=2))
    return obj


@st.composite
def resources(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Draw an object of a kind, with a name."""
    resource = next(one for one in REGISTRY if one.kind == kind)
    drawn = draw(objects(schema_of(kind), 6))
    metadata = {**drawn.get("metadata", {}), "name": "drawn"}
    metadata.pop("deletionTimestamp", None)
    return {**drawn, "apiVersion": resource.api_version, "kind": kind, "metadata": metadata}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Draw an object of a kind in which one field, at some depth, holds any JSON at all."""
    obj = draw(resources(kind))
    place: Any = obj
    while True:
        names = [name for name in place if name not in ("apiVersion", "kind")]
        if not names:
            return obj
        name = draw(st.sampled_from(sorted(names)))
        if not (isinstance(place[name], dict) and place[name] and draw(st.booleans())):
            place[name] = draw(JSON)
            return obj
        place = place[name]
