"""Which RoleBindings are allowed."""

from __future__ import annotations

from sampan.api.rolebinding.rules import admit_binding
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, old: JsonObject | None, _context: AdmissionContext) -> Admitted:
    """Default and check a RoleBinding."""
    return admit_binding("RoleBinding", obj, old, ("Role", "ClusterRole"))
