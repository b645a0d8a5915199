"""One object as it is, beside what would be asked of it: which fields would change. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sampan.machinery.field_sets import keyed_items
from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.children import is_within
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, KNATIVE_SERVICES, kind_of

State = Literal["equal", "changed", "created", "deleted", "occupied", "waits"]
_TEMPLATE = "spec.template"
_RUNNING = frozenset({DEPLOYMENTS.id, KNATIVE_SERVICES.id})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field whose value would be another one; None where it is not there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ChildReport:
    """What would become of one object. `restarts`: its pods would start anew, or end.

    `note` says why nothing would be done (`occupied`, `waits`).
    """

    kind: str
    name: str
    state: State
    fields: tuple[FieldChange, ...] = ()
    restarts: bool = False
    note: str = ""


def compare_child(desired: JsonObject, live: JsonObject | None) -> ChildReport:
    """Return what applying `desired` would change."""
    kind, name = str(desired["kind"]), str(desired["metadata"]["name"])
    if live is None:
        return ChildReport(kind, name, "created")
    fields = tuple(find_changes(desired, live))
    return ChildReport(
        kind,
        name,
        "changed" if fields else "equal",
        fields,
        runs_pods(desired) and any(f.path.startswith(_TEMPLATE) for f in fields),
    )


def runs_pods(obj: JsonObject) -> bool:
    """Whether pods are made of an object's template."""
    return kind_of(obj).resource.id in _RUNNING


def find_changes(desired: Any, live: Any, path: str = "", name: str = "") -> Iterator[FieldChange]:
    """Yield what an apply would change, field by field; what a server adds is none of it."""
    if is_within(desired, live, name):
        return
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        for key, value in desired.items():
            if key != "creationTimestamp":
                yield from find_changes(value, live.get(key), _joined(path, key), key)
        return
    items = _matched(desired, live, name)
    if items is None:
        yield FieldChange(path, live, desired)
        return
    for label, wanted, there in items:
        yield from find_changes(wanted, there, f"{path}[{label}]")


def _matched(desired: Any, live: Any, name: str) -> list[tuple[str, Any, Any]] | None:
    """Return the items of two lists that belong together, by their keys or, of equal lengths, by
    their places; None where the lists can only be compared as a whole.
    """
    if not isinstance(desired, list) or not isinstance(live, list):
        return None
    wanted, there = keyed_items(name, desired), keyed_items(name, live)
    if wanted and there is not None:
        return [(_label(item, n), item, there.get(n)) for n, item in wanted.items()]
    if len(desired) != len(live):
        return None
    return [(str(n), d, h) for n, (d, h) in enumerate(zip(desired, live, strict=True))]


def _label(item: Any, element: str) -> str:
    return str(item["name"]) if isinstance(item, Mapping) and "name" in item else element


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
