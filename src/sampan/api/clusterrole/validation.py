"""Which ClusterRoles are allowed."""

from __future__ import annotations

from dataclasses import replace

from sampan.api.admission import admit_by_schema
from sampan.api.role.rules import validate_rules
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, _old: JsonObject | None, _context: AdmissionContext) -> Admitted:
    """Check a ClusterRole."""
    admitted = admit_by_schema("ClusterRole", obj)
    if admitted.errors:
        return admitted
    return replace(admitted, errors=tuple(validate_rules(admitted.obj, namespaced=False)))
