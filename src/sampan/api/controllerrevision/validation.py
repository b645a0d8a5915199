"""Which ControllerRevisions are allowed: what the schema says, and no change of what they hold."""

from __future__ import annotations

from dataclasses import replace

from sampan.api.admission import admit_by_schema
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, old: JsonObject | None, _context: AdmissionContext) -> Admitted:
    """Check a ControllerRevision; its data never changes (Kubernetes, ControllerRevision)."""
    admitted = admit_by_schema("ControllerRevision", obj)
    if admitted.errors or old is None or old.get("data") == admitted.obj.get("data"):
        return admitted
    return replace(admitted, errors=(FieldError("data", "field is immutable"),))
