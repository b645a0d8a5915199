"""Selecting from stored objects, and pages of one list that agree on a version. Pure."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from sampan.machinery.errors import BadRequest
from sampan.machinery.history import Change
from sampan.machinery.labels import FieldSelector, Selector, parse_fields, parse_selector
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Event, EventType, Page

Location: TypeAlias = tuple[str, str]
"""Namespace and name: the order of lists."""

Objects: TypeAlias = Mapping[Location, bytes]
"""The stored objects of one resource, as JSON."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a resource a list or a watch is about."""

    resource: str
    namespace: str
    labels: Selector
    fields: FieldSelector

    @property
    def everything(self) -> bool:
        """Whether no selector is given."""
        return not self.labels.requirements and not self.fields.terms

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Whether the selectors take this object."""
        return self.fields.matches(obj) and self.labels.matches(obj["metadata"].get("labels"))

    def event(self, change: Change) -> Event | None:
        """Return what a watcher of this selection is told of a change, if anything.

        An object that starts to match is ADDED, one that stops is DELETED (as it last matched,
        with the version of the change).
        """
        key = change.key
        if key.resource != self.resource or self.namespace not in ("", key.namespace):
            return None
        if self.everything:
            return Event(change.type, data=change.data)
        obj = decode(change.data)
        before = decode(change.previous) if change.previous is not None else None
        matched = before is not None and self.matches(before)
        matches = change.type is not EventType.DELETED and self.matches(obj)
        if matches:
            return Event(EventType.MODIFIED if matched else EventType.ADDED, obj)
        if matched and before is not None:
            if change.type is EventType.DELETED:
                return Event(EventType.DELETED, obj)
            before["metadata"]["resourceVersion"] = str(change.version)
            return Event(EventType.DELETED, before)
        return None


def make_selection(
    resource: str, namespace: str, label_selector: str, field_selector: str
) -> Selection:
    """Return the selection; raise BadRequest for a selector that cannot be read."""
    return Selection(
        resource, namespace, parse_selector(label_selector), parse_fields(field_selector, resource)
    )


def make_page(
    selection: Selection, objects: Objects, version: int, after: Location, limit: int
) -> Page:
    """Return the selected objects behind `after`, at most `limit` of them (0: all)."""
    locations = sorted(objects)
    locations = locations[bisect_right(locations, after) :]
    items: list[JsonObject] = []
    data: list[bytes] = []
    last = after
    for index, (location, obj) in enumerate(_selected(selection, objects, locations)):
        if limit and index == limit:
            token = _make_token(version, last)
            left = _count(selection, locations) - limit if selection.everything else None
            return Page(items, str(version), token, left, tuple(data))
        items.append(obj)
        data.append(objects[location])
        last = location
    return Page(items, str(version), data=tuple(data))


def _selected(
    selection: Selection, objects: Objects, locations: list[Location]
) -> Iterator[tuple[Location, JsonObject]]:
    for location in locations:
        if selection.namespace in ("", location[0]):
            obj = decode(objects[location])
            if selection.everything or selection.matches(obj):
                yield location, obj


def _count(selection: Selection, locations: list[Location]) -> int:
    return sum(1 for namespace, _ in locations if selection.namespace in ("", namespace))


def _make_token(version: int, last: Location) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([version, *last])).decode().rstrip("=")


def parse_token(token: str) -> tuple[int, Location]:
    """Return the version and the last location of a continue token; raise BadRequest."""
    try:
        version, namespace, name = orjson.loads(base64.urlsafe_b64decode(token + "=" * 3))
    except (ValueError, TypeError, binascii.Error):
        version, namespace, name = None, "", ""
    if type(version) is not int or not isinstance(namespace, str) or not isinstance(name, str):
        raise BadRequest(
            f'continue key is not valid: "{token}"; start a new list without the continue parameter'
        )
    return version, (namespace, name)


def parse_version(text: str) -> int:
    """Return a resourceVersion as a number (0 for ""); raise BadRequest."""
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise BadRequest(f'resourceVersion: Invalid value: "{text}"; use one that a list returned')
    return int(text)


def decode(data: bytes) -> JsonObject:
    """Return a new object of stored JSON."""
    obj: JsonObject = orjson.loads(data)
    return obj
