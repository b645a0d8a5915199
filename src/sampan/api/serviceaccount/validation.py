"""Which ServiceAccounts are allowed: what the schema says."""

from __future__ import annotations

from sampan.api.admission import admit_by_schema
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, _old: JsonObject | None, _context: AdmissionContext) -> Admitted:
    """Check a ServiceAccount."""
    return admit_by_schema("ServiceAccount", obj)
