"""Rules that a schema asks in CEL, besides types and bounds (`x-kubernetes-validations`).

As on a cluster they are asked only where the object is otherwise sound, and it is said where they
are not; one about `oldSelf` is asked only of a change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sampan.api.schema.cel import Unanswered, compiled
from sampan.api.schema.violations import violations
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject

RULES = "x-kubernetes-validations"

UNCHECKED = FieldError(
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)
"""What the API server adds where a mistake kept it from asking the rules."""

_BLOCKING = frozenset(
    {
        "FieldValueRequired",
        "FieldValueTypeInvalid",
        "FieldValueNotSupported",
        "FieldValueTooLong",
        "FieldValueTooMany",
    }
)
_ABSENT = object()


def broken(schema: JsonObject, obj: JsonObject, old: JsonObject | None) -> list[FieldError]:
    """Return every violation of a schema that has rules, then every rule that is broken."""
    found = sorted(violations(schema, obj), key=lambda error: error.path)
    if any(error.reason in _BLOCKING for error in found):
        return [*found, UNCHECKED]
    return [*found, *_rules(schema, obj, old or _ABSENT, "")]


def _rules(schema: JsonObject, value: Any, old: Any, path: str) -> Iterator[FieldError]:
    for rule in schema.get(RULES, ()):
        if not _holds(rule["rule"], value, old):
            shown = "" if isinstance(value, dict | list) else f" {json.dumps(value)}:"
            yield FieldError(path, f"Invalid value:{shown} {rule['message']}")
    if isinstance(value, dict):
        yield from _fields(schema, value, old, path)
    elif isinstance(value, list):
        # Items of a list have no old selves here: which was which is not known.
        for index, item in enumerate(value):
            yield from _rules(schema.get("items", {}), item, _ABSENT, f"{path}[{index}]")


def _fields(schema: JsonObject, value: JsonObject, old: Any, path: str) -> Iterator[FieldError]:
    properties, values = schema.get("properties", {}), schema.get("additionalProperties")
    for name, part in value.items():
        inner = properties.get(name, values)
        if isinstance(inner, dict):
            before = old.get(name, _ABSENT) if isinstance(old, dict) else _ABSENT
            yield from _rules(inner, part, before, f"{path}.{name}" if path else name)


def _holds(rule: str, value: Any, old: Any) -> bool:
    if "oldSelf" in rule and old is _ABSENT:
        return True
    try:
        return bool(compiled(rule)({"self": value, "oldSelf": old}))
    except Unanswered:
        # A cluster refuses "no such key"; a rule about a part that is not there has no quarrel.
        return True
