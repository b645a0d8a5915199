"""Sets of the fields of an object, and the `fieldsV1` form in which managedFields keep them.

A field is a path of elements in fieldsV1's own notation: `f:spec` a member, `k:{"name":"a"}` an
item by its keys, `v:"x"` an item of a set. (structured-merge-diff, `fieldpath`; the lists and
objects that are owned whole come from `merge_keys`.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from sampan.machinery.patch.merge_keys import ATOMIC_MAPS, KEY_DEFAULTS, ListRule, list_rule
from sampan.machinery.patch.merge_patch import same_json
from sampan.machinery.registry import JsonObject

FieldPath: TypeAlias = tuple[str, ...]
FieldSet: TypeAlias = frozenset[FieldPath]

NONE: FieldSet = frozenset()
_ABSENT: Any = object()


@dataclass(slots=True)
class Comparison:
    """What differs between two objects."""

    added: set[FieldPath] = field(default_factory=set)
    modified: set[FieldPath] = field(default_factory=set)
    removed: set[FieldPath] = field(default_factory=set)


def fields_of(obj: Mapping[str, Any]) -> FieldSet:
    """Return the fields that an applied configuration is about: its leaves and its list items."""
    return frozenset(_walk("", dict(obj), ()))


def _walk(name: str, value: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, dict) and value and not _atomic(name, path):
        for key, child in value.items():
            yield from _walk(key, child, (*path, f"f:{key}"))
    elif (items := keyed_items(name, value)) is not None and items:
        for element, item in items.items():
            yield (*path, element)
            if isinstance(item, dict):
                yield from _walk("", item, (*path, element))
    elif path:
        yield path


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Return what was added, modified and removed between two objects."""
    found = Comparison()
    _compare("", before, after, (), found)
    return found


def _compare(name: str, before: Any, after: Any, path: FieldPath, found: Comparison) -> None:
    pairs = None if _atomic(name, path) else _children(name, before, after)
    if pairs is None:
        if before is _ABSENT:
            found.added.add(path)
        elif after is _ABSENT:
            found.removed.add(path)
        elif not same_json(before, after):
            found.modified.add(path)
        return
    if path and before is _ABSENT:
        found.added.add(path)
    if path and after is _ABSENT:
        found.removed.add(path)
    for element, (old, new) in pairs.items():
        member = element[2:] if element.startswith("f:") else ""
        _compare(member, old, new, (*path, element), found)


def _children(name: str, before: Any, after: Any) -> dict[str, tuple[Any, Any]] | None:
    """Return the members or items of two values side by side; None where they are one leaf."""
    old, new = (v if isinstance(v, dict) else {} if v is _ABSENT else None for v in (before, after))
    if old is None or new is None:
        if not all(isinstance(v, list) or v is _ABSENT for v in (before, after)):
            return None
        lists = [v for v in (before, after) if isinstance(v, list)]
        rule = list_rule(name, *lists)
        old, new = ({} if v is _ABSENT else _by_key(rule, v) for v in (before, after))
    else:
        old, new = ({f"f:{k}": v for k, v in m.items()} for m in (old, new))
    if old is None or new is None or not (old or new):
        return None
    return {e: (old.get(e, _ABSENT), new.get(e, _ABSENT)) for e in (*old, *new)}


def keyed_items(name: str, value: Any) -> dict[str, Any] | None:
    """Return the items of a list that is merged by keys, by path element; None for any other."""
    return _by_key(list_rule(name, value), value) if isinstance(value, list) else None


def _by_key(rule: ListRule, items: list[Any]) -> dict[str, Any] | None:
    """Return items by element; None when the list is atomic, or its items lack or repeat keys."""
    if rule.unique:
        found = {f"v:{_json(item)}": item for item in items}
    elif rule.keys:
        found = {}
        for item in items:
            element = item_element(rule, item)
            if element is None:
                return None
            found[element] = item
    else:
        return None
    return found if len(found) == len(items) else None


def item_element(rule: ListRule, item: Mapping[str, Any]) -> str | None:
    """Return `k:{...}` of an item, or None when it lacks a key that has no default."""
    keys = {k: item.get(k, KEY_DEFAULTS.get(k)) for k in rule.keys}
    return None if None in keys.values() else f"k:{_json(keys)}"


def _atomic(name: str, path: FieldPath) -> bool:
    return name in ATOMIC_MAPS and len(path) > 1


def make_fields(paths: FieldSet) -> JsonObject:
    """Return a set in the form of `fieldsV1`."""
    root: JsonObject = {}
    for path in sorted(paths):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _without_lone_dots(root)


def _without_lone_dots(node: JsonObject) -> JsonObject:
    """A leaf is written `{}`: the dot is for a field that is owned together with fields in it."""
    if set(node) == {"."}:
        return {}
    return {name: _without_lone_dots(child) if name != "." else {} for name, child in node.items()}


def parse_fields_v1(fields: Any) -> FieldSet:
    """Return the set of a `fieldsV1`; what is not well formed is left out, as it owns nothing."""
    return frozenset(_parsed(fields, ()))


def _parsed(node: Any, path: FieldPath) -> Iterator[FieldPath]:
    if not isinstance(node, dict):
        return
    if path and (not node or "." in node):
        yield path
    for element, child in node.items():
        if element[:2] in ("f:", "k:", "v:"):
            yield from _parsed(child, (*path, element))


def path_text(path: FieldPath) -> str:
    """Return a path as upstream prints it: `.spec.containers[name="a"].image`."""
    return "".join(map(_element_text, path))


def _element_text(element: str) -> str:
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "v:":
        return f"[={text}]"
    keys = orjson.loads(text)
    return "[" + ",".join(f"{k}={_json(v)}" for k, v in sorted(keys.items())) + "]"


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
