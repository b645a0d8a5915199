"""What in an object breaks its schema, in the words of the Kubernetes API server.

Types, enums, bounds, lengths, patterns, required fields and duplicate list keys, all at once. Texts
are those of apiextensions' validation (kube-openapi, `validate`), so that a mistake reads the same
here and on a cluster. Unknown fields are no violation: `sampan.api.schema.fields` lists them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject

_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def violations(schema: JsonObject, value: Any, path: str = "") -> list[FieldError]:
    """Return every violation in `value`, in the order of its fields; absent fields first."""
    return list(_value(schema, value, path))


def type_name(value: object) -> str:
    """Return the JSON type of a value as Kubernetes names it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _value(schema: JsonObject, value: Any, path: str) -> Iterator[FieldError]:
    wanted = "integer,string" if schema.get("x-kubernetes-int-or-string") else schema.get("type")
    given = type_name(value)
    if wanted is None:
        return
    if given not in wanted.split(",") and not _is_number(wanted, value):
        yield _wrong_type(path, wanted, given)
        return
    yield from _scalar(schema, value, path)
    if isinstance(value, dict):
        yield from _object(schema, value, path)
    elif isinstance(value, list):
        yield from _array(schema, value, path)


def _is_number(wanted: str, value: object) -> bool:
    """A whole float is an integer, and every integer is a number, as in JSON Schema."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return wanted == "number" or (wanted == "integer" and float(value).is_integer())


def _wrong_type(path: str, wanted: str, given: str) -> FieldError:
    text = f'Invalid value: "{given}": {path} in body must be of type {wanted}: "{given}"'
    return FieldError(path, text, "FieldValueTypeInvalid")


def _object(schema: JsonObject, value: JsonObject, path: str) -> Iterator[FieldError]:
    properties = schema.get("properties", {})
    values = schema.get("additionalProperties")
    fewest = schema.get("minProperties", 0)
    if len(value) < fewest:
        shown, bound = json.dumps(value), f"{path} in body should have at least {fewest} properties"
        yield FieldError(path, f"Invalid value: {shown}: {bound}")
    yield from _too_many(path, len(value), schema.get("maxProperties"))
    for name in schema.get("required", ()):
        if name not in value:
            yield FieldError(_join(path, name), "Required value", "FieldValueRequired")
    for name, part in value.items():
        if name in properties:
            yield from _value(properties[name], part, _join(path, name))
        elif isinstance(values, dict):
            yield from _value(values, part, _join(path, name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _array(schema: JsonObject, value: list[Any], path: str) -> Iterator[FieldError]:
    fewest = schema.get("minItems", 0)
    if len(value) < fewest:
        text = f"Invalid value: {len(value)}: {path} in body should have at least {fewest} items"
        yield FieldError(path, text)
    yield from _too_many(path, len(value), schema.get("maxItems"))
    for index, item in enumerate(value):
        yield from _value(schema.get("items", {}), item, f"{path}[{index}]")
    yield from _duplicates(schema, value, path)


def _too_many(path: str, count: int, most: int | None) -> Iterator[FieldError]:
    if most is not None and count > most:
        items = "item" if most == 1 else "items"
        text = f"Too many: {count}: must have at most {most} {items}"
        yield FieldError(path, text, "FieldValueTooMany")


def _duplicates(schema: JsonObject, value: list[Any], path: str) -> Iterator[FieldError]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("map", "set"):
        return
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen = set()
    for index, item in enumerate(value):
        if kind == "map" and not (isinstance(item, dict) and keys[0] in item):
            continue
        identity = {k: item[k] for k in keys if k in item} if kind == "map" else item
        text = json.dumps(identity, separators=(",", ":"), sort_keys=True)
        if text in seen:
            message = f"Duplicate value: {text}"
            yield FieldError(f"{path}[{index}]", message, "FieldValueDuplicate")
        seen.add(text)


def _scalar(schema: JsonObject, value: Any, path: str) -> Iterator[FieldError]:
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(json.dumps(choice) for choice in schema["enum"])
        text = f"Unsupported value: {json.dumps(value)}: supported values: {supported}"
        yield FieldError(path, text, "FieldValueNotSupported")
    if isinstance(value, str):
        yield from _string(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(schema, value, path)


def _number(schema: JsonObject, value: float, path: str) -> Iterator[FieldError]:
    lowest, highest = _RANGES.get(schema.get("format", ""), (None, None))
    lowest, highest = schema.get("minimum", lowest), schema.get("maximum", highest)
    if lowest is not None and value < lowest:
        yield _out_of_bounds(path, value, f"greater than or equal to {lowest}")
    if highest is not None and value > highest:
        yield _out_of_bounds(path, value, f"less than or equal to {highest}")


def _out_of_bounds(path: str, value: float, bound: str) -> FieldError:
    return FieldError(path, f"Invalid value: {value}: {path} in body should be {bound}")


def _string(schema: JsonObject, value: str, path: str) -> Iterator[FieldError]:
    shown = json.dumps(value, ensure_ascii=False)
    if len(value) < schema.get("minLength", 0):
        bound = schema["minLength"]
        text = f"Invalid value: {shown}: {path} in body should be at least {bound} chars long"
        yield FieldError(path, text)
    longest = schema.get("maxLength")
    if longest is not None and len(value) > longest:
        text = f"Too long: may not be more than {longest} bytes"
        yield FieldError(path, text, "FieldValueTooLong")
    pattern = schema.get("pattern")
    if pattern is not None and not _compiled(pattern).search(value):
        text = f"Invalid value: {shown}: {path} in body should match '{pattern}'"
        yield FieldError(path, text)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # Go's `$` ends the text; Python's also allows a newline behind it.
    return re.compile(re.sub(r"\$$", r"\\Z", pattern))
