"""Which InferenceServices are allowed: the rules in upstream's order, and admission.

A refusal starts with the text that KServe's webhook answers, which names its first failure; the
further mistakes follow on lines of their own (`sampan.api.admission.judged`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sampan.api.admission import Mistake, judged, together, unreadable
from sampan.api.config import ParsedConfig, parse_cached
from sampan.api.inferenceservice.defaults import default_service
from sampan.api.inferenceservice.review import Review, Rule
from sampan.api.inferenceservice.rules_canary import tries_out_canaries_rightly
from sampan.api.inferenceservice.rules_component import implements_each_component
from sampan.api.inferenceservice.rules_pod import (
    AUTOSCALER_CLASS,
    keeps_model_out_of_transformer,
    names_no_standard_predictor,
    sets_no_blocked_variable,
    spreads_over_nodes_rightly,
)
from sampan.api.inferenceservice.rules_storage import (
    encryption_warnings,
    encrypts_rightly,
    mounts_several_models_rightly,
)
from sampan.api.inferenceservice.rules_update import (
    keeps_deployment_mode,
    renames_predictor_with_its_model,
)
from sampan.api.inferenceservice.silences import silence_warnings
from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.violations import violations
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject

AUTOSCALER_CLASSES = ("hpa", "external", "keda", "none", "sampan")
"""KServe's, and Sampan's own."""

_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"


def has_a_fitting_name(review: Review) -> Iterator[Mistake]:
    """The name becomes part of host names, so it is a DNS label that starts with a letter."""
    if not re.fullmatch(_NAME, review.name):
        yield review.invalid(
            "metadata.name",
            "a InferenceService name must consist of lower case alphanumeric characters or '-', "
            'and must start with alphabetical character. (e.g. "my-name" or "abc-123", regex used '
            f"for validation is '{_NAME}')",
        )


def has_a_known_autoscaler(review: Review) -> Iterator[Mistake]:
    """The annotation names an autoscaler that Standard mode has."""
    scaler = review.annotations.get(AUTOSCALER_CLASS)
    if scaler is not None and scaler not in AUTOSCALER_CLASSES:
        text = f"[{scaler}] is not a supported autoscaler class type"
        yield Mistake(f"metadata.annotations.{AUTOSCALER_CLASS}", text)


RULES: tuple[Rule, ...] = (
    keeps_deployment_mode,  # update: a mode is for life
    renames_predictor_with_its_model,  # update: a variant's name changes with its model
    has_a_fitting_name,
    has_a_known_autoscaler,
    sets_no_blocked_variable,  # PYTHONPATH
    spreads_over_nodes_rightly,  # workerSpec
    keeps_model_out_of_transformer,  # a transformer container in the predictor
    names_no_standard_predictor,
    mounts_several_models_rightly,  # storageUris
    encrypts_rightly,  # confidential
    implements_each_component,  # one implementation, its settings, its scaling
    tries_out_canaries_rightly,
)
"""Everything that is checked, in the order in which upstream looks."""


def validate_service(review: Review) -> list[Mistake]:
    """Return every broken rule, in upstream's order.

    A service that is going is not judged: whoever takes its finalizer away must not be refused.
    """
    if review.old is not None and review.service["metadata"].get("deletionTimestamp"):
        return []
    return [mistake for rule in RULES for mistake in rule(review)]


def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Default and check a service; `old` is None on create.

    Where the schema is broken, `errors` holds all violations and, as far as the object can be
    read, all broken rules (422). Where only rules are, `denied` holds them (403).
    """
    schema = schema_of("InferenceService")
    shaped = completed_object(schema, obj, webhook=True)
    broken = _missing(shaped) or violations(schema, shaped)
    if unreadable(broken):
        return Admitted(shaped, errors=tuple(broken))
    parsed = parse_cached(context.configuration)
    review = Review(default_service(shaped, parsed.config), old, parsed.config)
    mistakes = validate_service(review)
    if broken:
        return Admitted(review.service, errors=together(broken, mistakes))
    warnings = (
        *_configuration_warnings(parsed),
        *encryption_warnings(review),
        *silence_warnings(shaped),
    )
    return judged(review.service, mistakes, warnings)


def _missing(service: JsonObject) -> list[FieldError]:
    """Return what upstream's defaulter cannot do without (it crashes; here it is an answer)."""
    if "spec" not in service:
        return [FieldError("spec", "Required value", "FieldValueRequired")]
    return []


def _configuration_warnings(parsed: ParsedConfig) -> tuple[str, ...]:
    return tuple(f"inferenceservice-config: {error}" for error in parsed.errors)
