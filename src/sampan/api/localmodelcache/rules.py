"""What the schemas of the two cache kinds ask besides types: the model of a cache stays the same.

On a cluster this is a rule in the CRD, and so it is here (`sampan.api.schema.rules`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.rules import broken
from sampan.machinery.registry import Admitted, JsonObject

IMMUTABLE: Mapping[str, Any] = MappingProxyType(
    {"message": "StorageUri is immutable", "rule": "self == oldSelf"}
)
"""The rule about `sourceModelUri`, as a cluster reads it."""


def admit_cache(kind: str, obj: JsonObject, old: JsonObject | None) -> Admitted:
    """Fill and check a cache of either kind by its schema."""
    schema = schema_of(kind)
    shaped = completed_object(schema, obj)
    return Admitted(shaped, errors=tuple(broken(schema, shaped, old)))
