"""Which Events are allowed: those that are in the namespace of what they are about."""

from __future__ import annotations

from dataclasses import replace

from sampan.api.admission import admit_by_schema
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, _old: JsonObject | None, _context: AdmissionContext) -> Admitted:
    """Check an Event; one about a cluster-scoped object may be in any namespace."""
    admitted = admit_by_schema("Event", obj)
    if admitted.errors:
        return admitted
    about = admitted.obj["involvedObject"].get("namespace", "")
    namespace = admitted.obj["metadata"].get("namespace", "")
    if not (about and namespace) or about == namespace:
        return admitted
    text = f'Invalid value: "{about}": does not match event.namespace "{namespace}"'
    return replace(admitted, errors=(FieldError("involvedObject.namespace", text),))
