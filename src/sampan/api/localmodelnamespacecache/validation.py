"""Which LocalModelNamespaceCaches are allowed: all that keep to their schema.

Upstream has a validator that looks for the node groups, but ships no webhook that asks it.
"""

from __future__ import annotations

from sampan.api.localmodelcache.rules import admit_cache
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Check a cache against its schema."""
    del context  # the schema does not ask it
    return admit_cache("LocalModelNamespaceCache", obj, old)
