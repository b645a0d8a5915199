"""ClusterRoleBinding: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject
from sampan.machinery.registry import JsonObject


class ClusterRoleBinding(CoreObject):
    """Who has a ClusterRole everywhere."""

    subjects: list[JsonObject] | None = None
    """Users, groups and service accounts."""
    role_ref: JsonObject | None = None
    """The ClusterRole that they have."""
