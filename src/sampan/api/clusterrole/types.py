"""ClusterRole: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject
from sampan.machinery.registry import JsonObject


class ClusterRole(CoreObject):
    """What may be done, for any namespace or for all."""

    rules: list[JsonObject] | None = None
    """Verbs on resources of API groups, or on paths, each rule by itself."""
    aggregation_rule: JsonObject | None = None
    """Which other ClusterRoles' rules are meant too, by their labels."""
