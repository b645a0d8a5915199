"""ResourceQuota: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject
from sampan.machinery.registry import JsonObject


class ResourceQuota(CoreObject):
    """How much one namespace may ask for."""

    spec: JsonObject | None = None
    """The limits by name (`hard`): of objects, of replicas, of their memory, CPU and devices."""
    status: JsonObject | None = None
    """The limits that are enforced and how much of each is used."""
