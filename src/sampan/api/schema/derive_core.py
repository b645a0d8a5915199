"""Definitions of the Kubernetes core types, derived from the text of `lightkube-models`.

The modules are parsed, not imported: importing them costs 300 ms and needs the lightkube client.
Pure: the texts come from `tools/generate_definitions.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from sampan.api.schema import core_facts as facts
from sampan.machinery.registry import JsonObject

QUANTITY: JsonObject = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": (
        r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|"
        r"([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
    ),
    "x-kubernetes-int-or-string": True,
}
"""A number with a unit (`500m`, `2Gi`); the pattern of apimachinery's resource.Quantity."""

INT_OR_STRING: JsonObject = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}

_CANONICAL: JsonObject = {**QUANTITY, "x-sampan-canonical": True}
"""A quantity that Go rewrites in canonical form; KServe's own metric targets are kept as given."""

_SCALARS: Mapping[str, JsonObject] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "Time": {"type": "string", "format": "date-time"},
    "MicroTime": {"type": "string", "format": "date-time"},
    "Quantity": _CANONICAL,
    "IntOrString": INT_OR_STRING,
    "FieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "RawExtension": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}

_FIELD_TEXT = re.compile(r"^\* \*\*(\w+)\*\* ``[^`]*`` - (.*)$", re.DOTALL)


def derive_core(texts: Mapping[str, str], roots: tuple[str, ...]) -> dict[str, JsonObject]:
    """Return the definition of each root and of every type that it reaches, by type name.

    `texts` maps module names (`core_v1`) to their source. References are `{"$ref": type name}`.
    """
    classes = {c.name: c for text in texts.values() for c in _classes(text)}
    definitions: dict[str, JsonObject] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            definitions[name] = _definition(classes[name])
            waiting += _references(definitions[name])
    return dict(sorted(definitions.items()))


def _classes(text: str) -> Iterator[ast.ClassDef]:
    return (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))


def _definition(node: ast.ClassDef) -> JsonObject:
    summary, texts = _docs(ast.get_docstring(node) or "")
    properties: JsonObject = {}
    required = []
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            name = field.target.id
            properties[name] = _field(node.name, name, field.annotation, texts.get(name, ""))
            if field.value is None:
                required.append(name)
    schema: JsonObject = {"type": "object", "description": summary, "properties": properties}
    if required:
        schema["required"] = sorted(required)
    if node.name in facts.ATOMIC_TYPES:
        schema["x-kubernetes-map-type"] = "atomic"
    return schema


def _field(owner: str, name: str, annotation: ast.expr, text: str) -> JsonObject:
    path = f"{owner}.{name}"
    schema = {"description": text, **_type(path, name, _unquoted(annotation))}
    if path in facts.DEFAULTS:
        schema["default"] = facts.DEFAULTS[path]
    if path in facts.GRANULAR_FIELDS:
        schema["x-kubernetes-map-type"] = "granular"
    if path in facts.ZERO_VALUES:
        schema["x-sampan-zero"] = facts.ZERO_VALUES[path]
    return schema


def _unquoted(annotation: ast.expr) -> str:
    return (
        str(annotation.value) if isinstance(annotation, ast.Constant) else ast.unparse(annotation)
    )


def _type(path: str, name: str, annotation: str) -> JsonObject:
    inner = re.fullmatch(r"Optional\[(.*)\]", annotation)
    if inner:
        return _type(path, name, inner[1])
    items = re.fullmatch(r"List\[(.*)\]", annotation)
    if items:
        return {"type": "array", "items": _type(path, name, items[1]), **_list_facts(path, name)}
    if annotation == "dict":
        return _map(path, name)
    if annotation == "int":
        return {"type": "integer", "format": "int64" if name in facts.INT64 else "int32"}
    word = annotation.rpartition(".")[2]
    return dict(_SCALARS[word]) if word in _SCALARS else {"$ref": word}


def _list_facts(path: str, name: str) -> JsonObject:
    if path in facts.SET_LISTS:
        return {"x-kubernetes-list-type": "set"}
    if name in facts.MAP_LISTS:
        keys = list(facts.MAP_LISTS[name])
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}
    return {"x-kubernetes-list-type": "atomic"} if name in facts.ATOMIC_LISTS else {}


def _map(path: str, name: str) -> JsonObject:
    values = dict(_CANONICAL) if name in facts.QUANTITIES else {"type": "string"}
    if path in facts.BYTES:
        values = {"type": "string", "format": "byte"}
    schema: JsonObject = {"type": "object", "additionalProperties": values}
    if path in facts.ATOMIC_MAPS:
        schema["x-kubernetes-map-type"] = "atomic"
    return schema


def _docs(docstring: str) -> tuple[str, dict[str, str]]:
    """Split a class docstring into its summary and the text of each field."""
    summary, _, parameters = docstring.partition("**parameters**")
    texts = {}
    for block in re.split(r"\n(?=\s*\* \*\*)", parameters):
        found = _FIELD_TEXT.match(block.strip())
        if found:
            texts[found[1]] = " ".join(found[2].split())
    return " ".join(summary.split()), texts


def _references(schema: object) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [name for value in schema.values() for name in _references(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _references(value)]
    return []
