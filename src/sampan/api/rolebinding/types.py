"""RoleBinding: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject
from sampan.machinery.registry import JsonObject


class RoleBinding(CoreObject):
    """Who has a role in one namespace."""

    subjects: list[JsonObject] | None = None
    """Users, groups and service accounts."""
    role_ref: JsonObject | None = None
    """The Role of this namespace, or the ClusterRole, that they have in it."""
