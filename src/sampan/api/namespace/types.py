"""Namespace: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject
from sampan.machinery.registry import JsonObject


class Namespace(CoreObject):
    """A room for names."""

    spec: JsonObject | None = None
    """Finalizers that must be gone before the namespace goes."""
    status: JsonObject | None = None
    """Its phase, `Active` or `Terminating`, and conditions."""
