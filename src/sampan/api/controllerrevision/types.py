"""ControllerRevision: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject
from sampan.machinery.registry import JsonObject


class ControllerRevision(CoreObject):
    """An immutable snapshot of what a controller runs; the newest has the highest number."""

    data: JsonObject | None = None
    """What it holds: `spec`, the component's, and `workload`, what runs for it."""
    revision: int = 0
    """Its number among those of its component."""
