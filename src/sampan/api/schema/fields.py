"""Fields that a schema does not know, and objects without them.

`unknown_fields` is what `fieldValidation=Strict` refuses and `Warn` warns of; `completed` is what
the API server stores: unknown fields pruned, nulls dropped, defaults filled in (Kubernetes,
"Field pruning", "Defaulting and Nullable").
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from sampan.machinery.errors import FieldError
from sampan.machinery.quantity import QuantityError, parse_quantity
from sampan.machinery.registry import JsonObject
from sampan.machinery.suggest import did_you_mean


def unknown_fields(schema: JsonObject, obj: JsonObject) -> list[FieldError]:
    """Return each field that the schema does not have, with the nearest one that it has."""
    return sorted(_unknown(schema, obj, ""), key=lambda error: error.path)


def _unknown(schema: JsonObject, value: Any, path: str) -> Iterator[FieldError]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(schema.get("items", {}), item, f"{path}[{index}]")
    elif isinstance(value, dict):
        properties = schema.get("properties", {})
        for name, part in value.items():
            where = f"{path}.{name}" if path else str(name)
            inner = part_schema(schema, name)
            if inner is None:
                yield _unknown_field(where, name, properties)
            else:
                yield from _unknown(inner, part, where)


def part_schema(schema: JsonObject, name: str) -> JsonObject | None:
    """Return the schema of a field of an object; None where the field is unknown."""
    properties = schema.get("properties", {})
    if name in properties:
        found: JsonObject = properties[name]
        return found
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        return values
    anything = schema.get("x-kubernetes-preserve-unknown-fields") or not schema
    return {} if anything else None


def _unknown_field(path: str, name: str, properties: JsonObject) -> FieldError:
    text = f'unknown field "{path}"{did_you_mean(name, properties)}'
    return FieldError(path, text, "FieldValueUnknown")


def completed(schema: JsonObject, value: Any, *, webhook: bool = False) -> Any:
    """Return the value without unknown fields and nulls, and with defaults.

    With `webhook`, also with what KServe's defaulting webhook changes by passing the object
    through Go structs: zero values of required fields, quantities in canonical form. A value of a
    wrong type is left as it is, for `violations` to name.
    """
    if isinstance(value, list):
        return [completed(schema.get("items", {}), item, webhook=webhook) for item in value]
    if not isinstance(value, dict):
        return _canonical(value) if webhook and schema.get("x-sampan-canonical") else value
    given = {name: part for name, part in value.items() if part is not None}
    kept = {}
    for name, part in {**given, **_filled(schema, given, webhook=webhook)}.items():
        inner = part_schema(schema, name)
        if inner is not None:
            kept[name] = completed(inner, part, webhook=webhook)
    return kept


def completed_object(schema: JsonObject, obj: JsonObject, *, webhook: bool = False) -> JsonObject:
    """Return a whole object completed; it has `metadata`, however little was sent.

    Labels and annotations that are empty are left out, as every server of Kubernetes's does.
    """
    shaped: JsonObject = completed(schema, obj, webhook=webhook)
    metadata = shaped.get("metadata", {})
    if isinstance(metadata, dict):
        empty = {name for name in ("labels", "annotations") if metadata.get(name) == {}}
        metadata = {name: part for name, part in metadata.items() if name not in empty}
    return {**shaped, "metadata": metadata}


def _filled(schema: JsonObject, value: JsonObject, *, webhook: bool) -> JsonObject:
    filled = {}
    for name, part in schema.get("properties", {}).items():
        if name in value:
            continue
        if "default" in part:
            filled[name] = copy.deepcopy(part["default"])
        elif webhook and "x-sampan-zero" in part:
            filled[name] = copy.deepcopy(part["x-sampan-zero"])
    return filled


def _canonical(value: float | str) -> object:
    try:
        return str(parse_quantity(value))
    except QuantityError:
        return value
