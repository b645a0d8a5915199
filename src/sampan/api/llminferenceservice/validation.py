"""Which LLMInferenceServices are allowed, in either version.

The schema of the version is asked, then its rules, then upstream's webhook's, which knows the
stored version. Both refuse with 422.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sampan.api.llminferenceservice import (
    rules_model,
    rules_router,
    rules_scaling,
    rules_workload,
)
from sampan.api.llminferenceservice.conversion import is_older, make_older, make_stored
from sampan.api.llminferenceservice.defaults import default_service
from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.rules import broken
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject

_RULES: tuple[Callable[[JsonObject], Iterator[FieldError]], ...] = (
    rules_router.routes_one_way,
    rules_router.shares_traffic_in_a_group,
    rules_workload.spreads_rightly,
    rules_router.runs_a_scheduler,
    rules_router.configures_the_scheduler_once,
    rules_scaling.scales_rightly,
    rules_workload.scales_alike,
    rules_model.names_adapters_apart,
    rules_workload.offloads_to_one_place,
    rules_workload.rolls_out,
    rules_model.encrypts_rightly,
)
"""In upstream's order."""


def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Fill and check a service of either version; it comes back in the version it came in."""
    del context  # nothing else is asked
    older = is_older(obj)
    schema = schema_of("LLMInferenceServiceV1alpha1" if older else "LLMInferenceService")
    shaped = completed_object(schema, obj)
    errors = broken(schema, shaped, old)
    if errors:
        return Admitted(shaped, errors=tuple(errors))
    return _judged(shaped, old, older=older)


def _judged(shaped: JsonObject, old: JsonObject | None, *, older: bool) -> Admitted:
    stored = default_service(make_stored(shaped) if older else shaped)
    before = make_stored(old) if old is not None and older else old
    filled = make_older(stored) if older else stored
    if stored["metadata"].get("deletionTimestamp"):
        return Admitted(filled)
    errors = [error for rule in _RULES for error in rule(stored)]
    errors += rules_workload.keeps_its_size(stored, before)
    warnings = (
        *rules_router.router_warnings(stored),
        *rules_model.encryption_warnings(stored),
    )
    return Admitted(filled, warnings, errors=tuple(errors))
