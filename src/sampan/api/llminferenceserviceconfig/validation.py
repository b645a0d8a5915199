"""Which LLMInferenceServiceConfigs are allowed, in either version (upstream's webhook)."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.llminferenceservice.conversion import is_older, make_stored
from sampan.api.llminferenceservice.review import forbidden
from sampan.api.llminferenceservice.rules_router import runs_a_scheduler
from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.rules import broken
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def names_no_others(config: JsonObject) -> Iterator[FieldError]:
    """A configuration is made of itself alone."""
    if (config.get("spec") or {}).get("baseRefs"):
        yield forbidden(
            "spec.baseRefs",
            "baseRefs is not a permitted field in LLMInferenceServiceConfig, support for "
            "recursive refs has been disabled",
        )


def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Fill and check a configuration by the schema of its version and upstream's rules."""
    del context  # nothing else is asked
    older = is_older(obj)
    kind = "LLMInferenceServiceConfigV1alpha1" if older else "LLMInferenceServiceConfig"
    shaped = completed_object(schema_of(kind), obj)
    errors = broken(schema_of(kind), shaped, old)
    if not errors and not shaped["metadata"].get("deletionTimestamp"):
        stored = make_stored(shaped) if older else shaped
        errors = [*names_no_others(stored), *runs_a_scheduler(stored)]
    return Admitted(shaped, errors=tuple(errors))
