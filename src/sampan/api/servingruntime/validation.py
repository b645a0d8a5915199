"""Which ServingRuntimes are allowed: the rules of `sampan.api.servingruntime.rules`."""

from __future__ import annotations

from sampan.api.servingruntime.rules import admit_runtime
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Check a ServingRuntime against its schema, its rules and its neighbours."""
    return admit_runtime("ServingRuntime", obj, old, context)
