"""Which Namespaces are allowed: what the schema says."""

from __future__ import annotations

from dataclasses import replace

from sampan.api.admission import admit_by_schema
from sampan.api.namespace.defaults import default_namespace
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, _old: JsonObject | None, _context: AdmissionContext) -> Admitted:
    """Default and check a Namespace."""
    admitted = admit_by_schema("Namespace", obj)
    return admitted if admitted.errors else replace(admitted, obj=default_namespace(admitted.obj))
