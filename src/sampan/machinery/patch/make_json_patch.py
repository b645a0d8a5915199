"""The JSON patch (RFC 6902) that makes one object of another. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sampan.machinery.patch.merge_patch import same_json
from sampan.machinery.registry import JsonObject


def make_json_patch(old: Any, new: Any) -> list[JsonObject]:
    """Return operations, in order, after which `old` is `new`; none where it is already.

    Objects are compared field by field and lists item by item; what a list has more at its end is
    added or removed there. Only `add`, `remove` and `replace` are used.
    """
    return list(_operations("", old, new))


def _operations(path: str, old: Any, new: Any) -> Iterator[JsonObject]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _fields(path, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _items(path, old, new)
    elif not same_json(old, new):
        yield {"op": "replace", "path": path, "value": new}


def _fields(path: str, old: JsonObject, new: JsonObject) -> Iterator[JsonObject]:
    for name in old.keys() - new.keys():
        yield {"op": "remove", "path": f"{path}/{_token(name)}"}
    for name, value in new.items():
        at = f"{path}/{_token(name)}"
        if name in old:
            yield from _operations(at, old[name], value)
        else:
            yield {"op": "add", "path": at, "value": value}


def _items(path: str, old: list[Any], new: list[Any]) -> Iterator[JsonObject]:
    for index, (before, after) in enumerate(zip(old, new, strict=False)):
        yield from _operations(f"{path}/{index}", before, after)
    for index in reversed(range(len(new), len(old))):
        yield {"op": "remove", "path": f"{path}/{index}"}
    for value in new[len(old) :]:
        yield {"op": "add", "path": f"{path}/-", "value": value}


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
