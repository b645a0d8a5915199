"""Event: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject
from sampan.machinery.registry import JsonObject


class Event(CoreObject):
    """Something that happened to an object."""

    involved_object: JsonObject
    """The object, by reference."""
    type: str | None = None
    """`Normal` or `Warning`."""
    reason: str | None = None
    """What happened, in one CamelCase word."""
    message: str | None = None
    """What happened, for people."""
    source: JsonObject | None = None
    """Who says so: component and host."""
    first_timestamp: str | None = None
    """When it first happened."""
    last_timestamp: str | None = None
    """When it last happened."""
    event_time: str | None = None
    """When it was first seen, to the microsecond."""
    count: int | None = None
    """How often it happened."""
    series: JsonObject | None = None
    """The series that it belongs to, if any."""
    action: str | None = None
    """What was done or failed."""
    related: JsonObject | None = None
    """A second object, by reference."""
    reporting_component: str | None = None
    """Name of the controller that says so."""
    reporting_instance: str | None = None
    """Name of the controller's instance."""
