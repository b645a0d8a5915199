"""Which ClusterStorageContainers are allowed: all that keep to their schema, as upstream."""

from __future__ import annotations

from sampan.api.admission import admit_by_schema
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Fill and check a storage container by its schema."""
    del old, context  # the schema asks neither
    return admit_by_schema("ClusterStorageContainer", obj)
