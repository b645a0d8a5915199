"""What the schemas of the two cache kinds ask besides types: the model of a cache stays the same.

On a cluster this is a rule in the CRD (`x-kubernetes-validations`), which is only asked where the
object is otherwise sound, and says so where it is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.violations import violations
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import Admitted, JsonObject

IMMUTABLE: Mapping[str, Any] = MappingProxyType(
    {"message": "StorageUri is immutable", "rule": "self == oldSelf"}
)
"""The rule about `sourceModelUri`, as a cluster reads it."""

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


def admit_cache(kind: str, obj: JsonObject, old: JsonObject | None) -> Admitted:
    """Fill and check a cache of either kind by its schema."""
    schema = schema_of(kind)
    shaped = completed_object(schema, obj)
    broken = violations(schema, shaped)
    if any(error.reason in _BLOCKING for error in broken):
        broken.append(UNCHECKED)
    else:
        broken += keeps_its_model(shaped, old)
    return Admitted(shaped, errors=tuple(broken))


def keeps_its_model(cache: JsonObject, old: JsonObject | None) -> list[FieldError]:
    """Return a mistake where the model of an existing cache is another than it was."""
    before, after = _source(old or {}), _source(cache)
    if before is None or after is None or before == after:
        return []
    text = f"Invalid value: {json.dumps(after)}: {IMMUTABLE['message']}"
    return [FieldError("spec.sourceModelUri", text)]


def _source(cache: JsonObject) -> str | None:
    uri: str | None = (cache.get("spec") or {}).get("sourceModelUri")
    return uri
