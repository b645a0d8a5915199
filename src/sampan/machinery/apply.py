"""Server-side apply: who owns which field, what an apply changes, and when it conflicts.

(Kubernetes, "Server-Side Apply"; structured-merge-diff, `merge.Updater`.) Lists and objects are
keyed or owned whole by the table of `patch.merge_keys`, in core kinds and in the pod templates of
custom kinds alike. Pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from sampan.machinery.errors import BadRequest, Conflict
from sampan.machinery.field_sets import (
    NONE,
    FieldPath,
    FieldSet,
    compare,
    fields_of,
    item_element,
    keyed_items,
    path_text,
)
from sampan.machinery.managed_fields import (
    APPLY,
    UPDATE,
    Manager,
    Managers,
    Owned,
    capped,
    owned_part,
    read_managers,
    with_managers,
)
from sampan.machinery.patch.merge_keys import ATOMIC_MAPS, list_rule
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.timestamps import rfc3339

BEFORE_FIRST_APPLY = "before-first-apply"
"""Owns what was there when an object without managers is first applied to."""

METADATA: FieldPath = ("f:metadata",)
"""Never owned and never removed as a whole."""

KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Request:
    """Who writes, through which door (`subresource`), and when (seconds since the epoch)."""

    manager: str
    now: float
    subresource: str = ""
    force: bool = False


def make_applied(
    resource: Resource, live: JsonObject | None, applied: JsonObject, request: Request
) -> JsonObject:
    """Return the object after an apply: merged, pruned, with its managedFields.

    `live` is None when there is none yet. Raises Conflict (reason FieldManagerConflict in its
    causes) when a field that the apply changes is another manager's, unless forced.
    """
    if not request.manager:
        raise BadRequest("fieldManager is required for apply patch; name the one who applies")
    config = _config_of(applied)
    before: JsonObject = live or {"metadata": {}}
    managers = _managers_before(resource, live, request)
    me = Manager(request.manager, APPLY, str(config["apiVersion"]), request.subresource)
    split = resource.status_subresource
    mine = fields_of(owned_part(config, request.subresource, split_status=split))
    last = managers.get(me, Owned(NONE)).fields
    merged = _merge("", before, _through(resource, config, request), "")
    others = {m: o for m, o in managers.items() if m != me}
    kept = mine.union(*(o.fields for o in others.values()))
    new: JsonObject = _pruned("", merged, last, kept, ())
    changed = compare(_owned_all(before), _owned_all(new))
    written = frozenset(changed.modified | changed.added)
    conflicts = _conflicts(others, written)
    allowed = NONE if live is None else _allowed_by_last_applied(live, request)
    refused = {m: f - allowed for m, f in conflicts.items() if f - allowed}
    if refused and not request.force:
        raise _conflict(refused, others)
    left = {
        m: replace(o, fields=o.fields - conflicts.get(m, NONE) - frozenset(changed.removed))
        for m, o in others.items()
    }
    unchanged = mine == last and not (changed.added or changed.modified or changed.removed)
    known = managers.get(me)  # None for the first apply, also of an object without any field
    time = known.time if known and unchanged else rfc3339(request.now)
    new = _with_last_applied(new, applied, request)
    return with_managers(new, {**left, me: Owned(mine, time)})


def make_tracked(
    resource: Resource, live: JsonObject | None, new: JsonObject, request: Request
) -> JsonObject:
    """Return `new` with managedFields that say who changed what: for create, update and patches.

    `new` may bring managedFields of its own (`kubectl` migrates owners so); an empty list, or one
    empty entry, forgets all managers.
    """
    given = new.get("metadata", {}).get("managedFields")
    if given is not None and not any(given):
        return with_managers(new, {})
    managers = read_managers(new) or read_managers(live or {})
    if request.subresource and live is not None:
        managers = read_managers(live)
    split = resource.status_subresource
    before = owned_part(live or {}, request.subresource, split_status=split)
    changed = compare(before, owned_part(new, request.subresource, split_status=split))
    written = frozenset(changed.added | changed.modified) - {METADATA}
    gone = frozenset(changed.removed)
    if not written and not gone:
        return with_managers(new, managers)
    version = str(new.get("apiVersion", resource.api_version))
    me = Manager(request.manager, UPDATE, version, request.subresource)
    left = {
        m: o if m == me else replace(o, fields=o.fields - written - gone)
        for m, o in managers.items()
    }
    mine = (managers.get(me, Owned(NONE)).fields | written) - gone
    return with_managers(new, capped({**left, me: Owned(mine, rfc3339(request.now))}))


def _config_of(applied: JsonObject) -> JsonObject:
    if applied.get("metadata", {}).get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil; leave it out of what you apply")
    config: JsonObject = _without_nulls(applied)
    _check_keys("", config, "")
    return config


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(v) for v in value]
    return value


def _check_keys(name: str, value: Any, path: str) -> None:
    """Raise BadRequest for items that cannot be told apart: such a list cannot be merged."""
    if isinstance(value, dict):
        for key, child in value.items():
            _check_keys(key, child, f"{path}.{key}")
    elif isinstance(value, list):
        rule = list_rule(name, value)
        seen = set()
        for index, item in enumerate(value):
            if rule.keys:
                element = item_element(rule, item)
                if element is None:
                    wanted = ", ".join(f'"{k}"' for k in rule.keys)
                    raise BadRequest(
                        f"{path}: element {index}: associative list with keys has an element that "
                        f"omits a key field of {wanted}; give it"
                    )
                if element in seen:
                    at = path_text((element,))
                    raise BadRequest(f"{path}: duplicate entries for key {at}; keep one of them")
                seen.add(element)
            _check_keys("", item, f"{path}[{index}]")


def _managers_before(
    resource: Resource, live: JsonObject | None, request: Request
) -> dict[Manager, Owned]:
    if live is None:
        return {}
    managers = read_managers(live)
    if managers:
        return managers
    fields = frozenset(compare({}, _owned_all(live)).added) - {METADATA}
    version = str(live.get("apiVersion", resource.api_version))
    first = Manager(BEFORE_FIRST_APPLY, UPDATE, version)
    return {first: Owned(fields, rfc3339(request.now))} if fields else {}


def _through(resource: Resource, config: JsonObject, request: Request) -> JsonObject:
    """Return what of a configuration passes the door that it is applied through."""
    if request.subresource:
        return {k: v for k, v in config.items() if k in ("apiVersion", "kind", request.subresource)}
    if resource.status_subresource:
        return {k: v for k, v in config.items() if k != "status"}
    return config


def _owned_all(obj: Mapping[str, Any]) -> JsonObject:
    return owned_part(obj, "", split_status=False)


def _merge(name: str, live: Any, config: Any, parent: str) -> Any:
    """Return the live value with the configuration over it: objects and keyed lists merge."""
    if isinstance(config, dict) and isinstance(live, dict):
        if name in ATOMIC_MAPS and parent:
            return config
        merged = dict(live)
        for key, value in config.items():
            merged[key] = _merge(key, live[key], value, name or "root") if key in live else value
        return merged
    if isinstance(config, list) and isinstance(live, list):
        old, new = keyed_items(name, live), keyed_items(name, config)
        if old is not None and new is not None:
            return _merge_items(old, new)
    return config


def _merge_items(old: dict[str, Any], new: dict[str, Any]) -> list[Any]:
    """Return the items of both: those applied in their order, the others where they stood."""
    only_old = [element for element in old if element not in new]
    places = {element: n for n, element in enumerate(old)}
    merged: list[Any] = []
    for element, item in new.items():
        if element in old:
            while only_old and places[only_old[0]] < places[element]:
                merged.append(old[only_old.pop(0)])
            merged.append(_merge("", old[element], item, "items"))
        else:
            merged.append(item)
    return [*merged, *(old[element] for element in only_old)]


def _pruned(name: str, value: Any, last: FieldSet, kept: FieldSet, path: FieldPath) -> Any:
    """Return the value without what the last apply owned and nobody owns any more."""
    gone = {p[len(path)] for p in last - kept if p[: len(path)] == path and len(p) > len(path)}
    if not gone:
        return value
    if isinstance(value, dict):
        members = {k: (f"f:{k}", k, v) for k, v in value.items()}
        left = _prune_members(members, gone, last, kept, path)
        return {k: left[k] for k in value if k in left}
    items = keyed_items(name, value)
    if items is None:
        return value
    left = _prune_members({e: (e, "", v) for e, v in items.items()}, gone, last, kept, path)
    return list(left.values())


def _prune_members(
    members: Mapping[str, tuple[str, str, Any]],
    gone: set[str],
    last: FieldSet,
    kept: FieldSet,
    path: FieldPath,
) -> dict[str, Any]:
    left = {}
    for key, (element, name, value) in members.items():
        inner = (*path, element)
        if element not in gone or inner == METADATA or _held(inner, kept):
            left[key] = _pruned(name, value, last, kept, inner)
    return left


def _held(path: FieldPath, kept: FieldSet) -> bool:
    return any(p[: len(path)] == path for p in kept)


def _conflicts(others: Managers, written: FieldSet) -> dict[Manager, FieldSet]:
    """Return which fields of which other managers are written."""
    found = {m: o.fields & written for m, o in others.items()}
    return {m: fields for m, fields in found.items() if fields}


def _allowed_by_last_applied(live: JsonObject, request: Request) -> FieldSet:
    """Return fields that `kubectl apply` left as it set them: its successor may take them over."""
    text = live["metadata"].get("annotations", {}).get(LAST_APPLIED)
    if request.manager != KUBECTL or not isinstance(text, str):
        return NONE
    try:
        before = orjson.loads(text)
    except orjson.JSONDecodeError:
        return NONE
    if not isinstance(before, dict):
        return NONE
    part = _owned_all(before)
    changed = compare(part, _owned_all(live))
    return fields_of(part) - changed.modified - changed.added - changed.removed


def _with_last_applied(new: JsonObject, applied: JsonObject, request: Request) -> JsonObject:
    """Keep kubectl's annotation true, so that a later `kubectl apply` sees what was applied."""
    annotations = new["metadata"].get("annotations", {})
    if request.manager != KUBECTL or LAST_APPLIED not in annotations:
        return new
    text = orjson.dumps(applied, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    annotations = {**annotations, LAST_APPLIED: text}
    return {**new, "metadata": {**new["metadata"], "annotations": annotations}}


def _conflict(refused: Mapping[Manager, FieldSet], managers: Managers) -> Conflict:
    """Return the error in upstream's words (`fieldmanager/internal/conflict.go`)."""
    found = sorted((m.text(managers[m].time), sorted(fields)) for m, fields in refused.items())
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {who}",
            "field": path_text(path),
        }
        for who, paths in found
        for path in paths
    ]
    if len(causes) == 1:
        detail = f"1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lists = (
            f"conflicts with {who}:\n" + "\n".join(f"- {path_text(p)}" for p in paths)
            for who, paths in found
        )
        detail = f"{len(causes)} conflicts: " + "\n".join(lists)
    return Conflict(f"Apply failed with {detail}", details={"causes": causes})
