"""Strategic merge patch: a merge patch that knows how Kubernetes's lists are keyed.

(Kubernetes, "Update API Objects in Place Using kubectl patch"; `strategicpatch` upstream.) Lists
that `merge_keys` names are merged item by item, others are replaced. Directives: `$patch: delete |
replace | merge`, `$retainKeys`, `$setElementOrder/LIST`, `$deleteFromPrimitiveList/LIST`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sampan.machinery.errors import BadRequest
from sampan.machinery.patch.merge_keys import ListRule, list_rule
from sampan.machinery.patch.merge_patch import same_json
from sampan.machinery.registry import JsonObject

ORDER = "$setElementOrder/"
DELETE_VALUES = "$deleteFromPrimitiveList/"
PATCH = "$patch"
RETAIN = "$retainKeys"


def strategic_merge(original: Mapping[str, Any], patch: Mapping[str, Any]) -> JsonObject:
    """Return the original with the patch merged into it; raise BadRequest for a bad directive.

    Both may be an object, or a part of one (a PodSpec, a Container).
    """
    return _merge_objects(copy.deepcopy(dict(original)), patch, "")


def _merge_objects(target: JsonObject, patch: Mapping[str, Any], path: str) -> JsonObject:
    match patch.get(PATCH, "merge"):
        case "replace":
            return {k: _plain(v) for k, v in patch.items() if v is not None and k != PATCH}
        case "delete":
            return {}
        case "merge":
            pass
        case other:
            raise _bad_directive(other, path)
    target = _retained(target, patch, path)
    for name in _names(patch):
        _merge_field(target, name, patch, f"{path}.{name}" if path else name)
    return target


def _merge_field(target: JsonObject, name: str, patch: Mapping[str, Any], path: str) -> None:
    value = patch.get(name)
    old = target.get(name)
    if name in patch and value is None:
        target.pop(name, None)
        return
    if isinstance(value, Mapping):
        if value.get(PATCH) == "delete":
            target.pop(name, None)
            return
        target[name] = _merge_objects(old if isinstance(old, dict) else {}, value, path)
        return
    if isinstance(value, list) or ORDER + name in patch or DELETE_VALUES + name in patch:
        merged = _merge_list_field(name, _as_list(old, path), patch, path)
        if merged or name in patch or old is not None:
            target[name] = merged
    else:
        target[name] = value


def _merge_list_field(name: str, old: list[Any], patch: Mapping[str, Any], path: str) -> list[Any]:
    given = _as_list(patch.get(name), path)
    dropped = _as_list(patch.get(DELETE_VALUES + name), path)
    directives = [i for i in given if isinstance(i, Mapping) and PATCH in i]
    items = [i for i in given if i not in directives]
    rule = list_rule(name, old, items)
    for item in directives:
        if item[PATCH] not in ("delete", "merge", "replace"):
            raise _bad_directive(item[PATCH], path)
    if {PATCH: "replace"} in directives:
        return [_plain(i) for i in items]
    if not rule.patch and not rule.unique:
        if directives:
            raise BadRequest(f"{path}: a list without merge key takes no {PATCH} in its items")
        return [_plain(i) for i in items] if name in patch else old
    if rule.unique:
        merged = [v for v in old if v not in dropped]
        merged += [v for v in dict.fromkeys(items) if v not in merged]
    else:
        merged = _merge_items(old, given, rule, path)
    order = _as_list(patch.get(ORDER + name), path) or items
    return _ordered(merged, order, old, rule, path)


def _merge_items(
    old: list[JsonObject], patch: list[JsonObject], rule: ListRule, path: str
) -> list[JsonObject]:
    merged = list(old)
    for index, item in enumerate(patch):
        key = item.get(rule.patch)
        if key is None:
            raise BadRequest(f'{path}[{index}]: no "{rule.patch}", by which such items are merged')
        at = [n for n, m in enumerate(merged) if same_json(m.get(rule.patch), key)]
        if item.get(PATCH) == "delete":
            merged = [m for n, m in enumerate(merged) if n not in at]
        elif at:
            merged[at[0]] = _merge_objects(merged[at[0]], item, f"{path}[{index}]")
        else:
            merged.append(_merge_objects({}, item, f"{path}[{index}]"))
    return merged


def _ordered(
    merged: list[Any], order: list[Any], original: list[Any], rule: ListRule, path: str
) -> list[Any]:
    """Return a merged list in upstream's order (`normalizeElementOrder`).

    The items that `order` names stand in its order, the others in the original's; between one of
    each the original's order decides where it knows both, else the named one is first. So an item
    that a patch adds stands before those that only the original has.
    """
    names = [_name(i, rule, path) for i in order]
    known = [_name(i, rule, path) for i in original]
    named = [i for i in merged if _name(i, rule, path) in names]
    others = [i for i in merged if _name(i, rule, path) not in names]
    named.sort(key=lambda i: names.index(_name(i, rule, path)))
    result = []
    while named and others:
        first, second = _name(others[0], rule, path), _name(named[0], rule, path)
        in_front = first in known and second in known and known.index(first) < known.index(second)
        result.append((others if in_front else named).pop(0))
    return [*result, *named, *others]


def _name(item: Any, rule: ListRule, path: str) -> Any:
    if not rule.patch:
        return item
    if not isinstance(item, Mapping) or rule.patch not in item:
        raise BadRequest(f'{path}: an item without "{rule.patch}", by which they are told apart')
    return item[rule.patch]


def _retained(target: JsonObject, patch: Mapping[str, Any], path: str) -> JsonObject:
    if RETAIN not in patch:
        return target
    names = _as_list(patch[RETAIN], path)
    given = {k for k, v in patch.items() if v is not None and not k.startswith("$")}
    if missing := sorted(given - set(names)):
        raise BadRequest(f"{path}: {RETAIN} leaves out what the patch sets: {', '.join(missing)}")
    return {k: v for k, v in target.items() if k in names}


def _names(patch: Mapping[str, Any]) -> list[str]:
    """Return the fields that a patch is about, those of list directives too."""
    names = dict.fromkeys(k for k in patch if not k.startswith("$"))
    for name in patch:
        for prefix in (ORDER, DELETE_VALUES):
            if name.startswith(prefix):
                names[name.removeprefix(prefix)] = None
    return list(names)


def _plain(value: Any) -> Any:
    """Return a new value as a patch adds it: without directives and without nulls in objects."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value


def _as_list(value: Any, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequest(f"{path}: a list is expected, not {type(value).__name__}")
    return value


def _bad_directive(word: object, path: str) -> BadRequest:
    at = path or "the patch"
    return BadRequest(f'{at}: {PATCH} is "{word}"; it is one of delete, merge, replace')
