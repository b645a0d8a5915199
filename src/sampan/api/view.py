"""Typed views of objects, and what their fields say to the schema.

Objects travel through Sampan as plain JSON; a view is for code that reads many fields. Views are
lossless: a field that a view does not name (all of a pod's, and whatever a later version adds) is
kept in `model_extra`, and `encode(decode(obj)) == obj`. Views check JSON types only; enums, bounds
and patterns are the schema's to report, all at once (`sampan.api.schema.violations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from sampan.machinery.errors import FieldError, Invalid, Subject
from sampan.machinery.registry import JsonObject


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Keywords that a field adds to its schema (`format`, `minimum`, `x-kubernetes-...`).

    Compared by identity, because annotations must be hashable and the keywords are not.
    """

    keywords: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Core:
    """The field is a Kubernetes core type, defined in `sampan.api.schema.derive_core`."""

    name: str


@dataclass(frozen=True, slots=True)
class Inline:
    """All fields of a core type belong to the view itself (Go's embedded structs).

    `only`: just these of them; empty: all but `without`. `optional`: required there, not here.
    `lists`: how lists merge, by the keys of their items; no keys: one writer owns the whole list.
    """

    core: str
    only: frozenset[str] = field(default_factory=frozenset)
    without: frozenset[str] = field(default_factory=frozenset)
    optional: frozenset[str] = field(default_factory=frozenset)
    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()


def facts(**keywords: object) -> Facts:
    """Return keywords of a field's schema; underscores in `x_kubernetes_...` become hyphens."""
    return Facts({_keyword(name): value for name, value in keywords.items()})


def zero(value: object, *, required: bool = True) -> Facts:
    """Return the zero value that KServe's webhook writes where the field is missing.

    A field that is `required` may thus be missing from what a user sends; give it a default.
    """
    return Facts({"x-sampan-zero": value, "$required": required})


def _keyword(name: str) -> str:
    return name.replace("_", "-") if name.startswith("x_") else name


Int32: TypeAlias = Annotated[int, facts(format="int32")]
Int64: TypeAlias = Annotated[int, facts(format="int64")]
Quantity: TypeAlias = Annotated[int | float | str, Core("Quantity")]
"""A number with a unit, as the user wrote it; `sampan.machinery.quantity` reads it."""
ObjectMeta: TypeAlias = Annotated[JsonObject, Core("ObjectMeta")]


class View(BaseModel):
    """Base of all views: camelCase outside, snake_case inside, unknown fields kept."""

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        ser_json_inf_nan="constants",
    )

    inlines: ClassVar[tuple[Inline, ...]] = ()
    schema_facts: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def decode(cls, obj: JsonObject) -> Self:
        """Return the view of a JSON object; raise Invalid naming every field of a wrong type."""
        try:
            return cls.model_validate(obj)
        except ValidationError as mistakes:
            raise Invalid(_subject(obj), _field_errors(mistakes)) from None

    def encode(self) -> JsonObject:
        """Return the JSON object: exactly the fields that were given, unknown ones included."""
        return self.model_dump(mode="python", by_alias=True, exclude_unset=True)


def _subject(obj: JsonObject) -> Subject:
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    metadata = obj.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    return Subject(kind=str(obj.get("kind", "")), name=str(name), group=group)


def _field_errors(mistakes: ValidationError) -> list[FieldError]:
    return [
        FieldError(_path(e["loc"]), f"Invalid value: {e['input']!r}: {e['msg'].lower()}")
        for e in mistakes.errors(include_url=False)
    ]


def _path(location: tuple[int | str, ...]) -> str:
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in location]
    return "".join(parts).lstrip(".")
