"""`metadata.managedFields`: which manager owns which fields of an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sampan.machinery.field_sets import FieldSet, make_fields, parse_fields_v1
from sampan.machinery.registry import JsonObject

APPLY = "Apply"
UPDATE = "Update"

MAX_UPDATERS = 10
ANCIENT = "ancient-changes"

STRIPPED: frozenset[str] = frozenset(
    {
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)
"""Fields of `metadata` that nobody owns: they name the object, or the server sets them."""


@dataclass(frozen=True, slots=True)
class Manager:
    """Who owns fields: a manager applying is another one than the same manager updating."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def text(self, time: str) -> str:
        """Return it as upstream names it in a conflict."""
        text = f'"{self.name}"'
        if self.subresource:
            text = f'{text} with subresource "{self.subresource}"'
        if self.operation == UPDATE:
            text = f"{text} using {self.api_version}"
            text = f"{text} at {time}" if time else text
        return text


@dataclass(frozen=True, slots=True)
class Owned:
    """What a manager owns, and since when (RFC 3339)."""

    fields: FieldSet
    time: str = ""


Managers: TypeAlias = Mapping[Manager, Owned]


def read_managers(obj: Mapping[str, Any]) -> dict[Manager, Owned]:
    """Return the managers of an object; entries that cannot be read own nothing."""
    found: dict[Manager, Owned] = {}
    for entry in obj.get("metadata", {}).get("managedFields") or ():
        if isinstance(entry, dict) and entry.get("manager") is not None:
            manager = Manager(
                str(entry["manager"]),
                str(entry.get("operation", UPDATE)),
                str(entry.get("apiVersion", "")),
                str(entry.get("subresource", "")),
            )
            fields = parse_fields_v1(entry.get("fieldsV1"))
            found[manager] = Owned(fields, str(entry.get("time", "")))
    return found


def with_managers(obj: JsonObject, managers: Managers) -> JsonObject:
    """Return the object with these managers: appliers first, then by time, as upstream."""
    order = sorted(
        (m for m, owned in managers.items() if owned.fields),
        key=lambda m: (m.operation != APPLY, managers[m].time, m.name, m.subresource),
    )
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    if order:
        metadata["managedFields"] = [_entry(m, managers[m]) for m in order]
    return {**obj, "metadata": metadata}


def capped(managers: Managers) -> Managers:
    """Return at most `MAX_UPDATERS` updaters: the oldest become one, as upstream.

    Without it each new client name would make every object a little longer, for ever.
    """
    updaters = sorted(
        (m for m in managers if m.operation == UPDATE), key=lambda m: _age(m, managers)
    )
    ancient = updaters[: len(updaters) - MAX_UPDATERS + 1] if len(updaters) > MAX_UPDATERS else []
    kept = {m: owned for m, owned in managers.items() if m not in ancient}
    for manager in ancient:
        bucket = replace(manager, name=ANCIENT)
        before = kept.get(bucket, Owned(frozenset()))
        owned = managers[manager]
        kept[bucket] = Owned(before.fields | owned.fields, max(before.time, owned.time))
    return kept


def _age(manager: Manager, managers: Managers) -> tuple[str, bool, str]:
    return managers[manager].time, manager.name != ANCIENT, manager.name


def _entry(manager: Manager, owned: Owned) -> JsonObject:
    entry: JsonObject = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": owned.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": make_fields(owned.fields),
        "subresource": manager.subresource,
    }
    return {k: v for k, v in entry.items() if v != ""}


def owned_part(obj: Mapping[str, Any], subresource: str, *, split_status: bool) -> JsonObject:
    """Return what of an object can be owned through a door: the object itself, or its `status`.

    Where the kind has a status subresource, each of the two leaves the other's part alone.
    """
    if subresource:
        return {subresource: obj[subresource]} if subresource in obj else {}
    left_out = {"apiVersion", "kind", "metadata", *(("status",) if split_status else ())}
    part = {k: v for k, v in obj.items() if k not in left_out}
    metadata = {k: v for k, v in obj.get("metadata", {}).items() if k not in STRIPPED}
    return {"metadata": metadata, **part} if metadata else part
