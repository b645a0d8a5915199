"""Role: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject
from sampan.machinery.registry import JsonObject


class Role(CoreObject):
    """What may be done in one namespace."""

    rules: list[JsonObject] | None = None
    """Verbs on resources of API groups, each rule by itself."""
