"""Admission: from an object as sent to an object as stored, or to all that is wrong with it.

The order is the API server's: prune unknown fields and fill defaults by schema, default by kind,
check the schema, check the rules of the kind. Upstream's webhook stops at its first failure; here
every mistake is found, and upstream's first text comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.violations import violations
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import Admitted, JsonObject


@dataclass(frozen=True, slots=True)
class Mistake:
    """A broken rule: upstream's text, word for word, and the field that it is about."""

    path: str
    text: str


def judged(obj: JsonObject, mistakes: Iterable[Mistake], warnings: Iterable[str] = ()) -> Admitted:
    """Return an object of a sound schema as admitted, or as denied where a rule is broken.

    `denied` starts with upstream's answer, which is the first mistake's text; each further mistake
    follows on a line of its own, with its path. `causes` lists all of them.
    """
    lines: dict[str, str] = {}
    for mistake in (found := list(mistakes)):
        lines.setdefault(mistake.text, f"{mistake.path}: {mistake.text}" if lines else mistake.text)
    causes = dict.fromkeys(FieldError(mistake.path, mistake.text) for mistake in found)
    return Admitted(obj, tuple(warnings), denied="\n".join(lines.values()), causes=tuple(causes))


def admit_by_schema(kind: str, obj: JsonObject) -> Admitted:
    """Prune, fill and check an object whose kind has no rules beyond its schema."""
    schema = schema_of(kind)
    shaped = completed_object(schema, obj)
    return Admitted(shaped, errors=tuple(violations(schema, shaped)))


def together(broken: Iterable[FieldError], mistakes: Iterable[Mistake]) -> tuple[FieldError, ...]:
    """Return violations of the schema, then broken rules about other fields."""
    errors = dict.fromkeys(broken)
    named = {error.path for error in errors}
    rules = (FieldError(m.path, m.text) for m in mistakes if m.path not in named)
    return tuple(errors | dict.fromkeys(rules))


def unreadable(errors: Iterable[FieldError]) -> bool:
    """Whether rules cannot be asked, because a field is missing or of a wrong type."""
    blocking = ("FieldValueTypeInvalid", "FieldValueRequired")
    return any(error.reason in blocking for error in errors)
