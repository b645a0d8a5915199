"""gjson's modifiers: a value in another shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sampan.gjson.compare import MISSING


def modify(value: Any, name: str, argument: str) -> Any:
    """Return the modified value; MISSING where the modifier has nothing to give."""
    return MODIFIERS[name](value, argument)


def _reverse(value: Any, _: str) -> Any:
    if isinstance(value, list):
        return value[::-1]
    return dict(reversed(value.items())) if isinstance(value, dict) else value


def _flatten(value: Any, argument: str) -> Any:
    if not isinstance(value, list):
        return value
    deep = bool(_options(argument).get("deep"))
    flat: list[Any] = []
    for item in value:
        if isinstance(item, list):
            flat.extend(_flatten(item, argument) if deep else item)
        else:
            flat.append(item)
    return flat


def _keys(value: Any, _: str) -> Any:
    if isinstance(value, dict):
        return list(value)
    return [None] * len(value) if isinstance(value, list) else []


def _values(value: Any, _: str) -> Any:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _join(value: Any, _: str) -> Any:
    if not isinstance(value, list):
        return value
    joined: dict[str, Any] = {}
    for item in value:
        if isinstance(item, dict):
            joined |= item
    return joined


def _from_text(value: Any, _: str) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else MISSING
    except ValueError:
        return MISSING


def _group(value: Any, _: str) -> Any:
    """Turn an object of arrays into an array of objects."""
    if not isinstance(value, dict):
        return MISSING
    groups: list[dict[str, Any]] = []
    for name, items in value.items():
        for index, item in enumerate(items if isinstance(items, list) else []):
            groups.extend({} for _ in range(index + 1 - len(groups)))
            groups[index][name] = item
    return groups


def _options(argument: str) -> Mapping[str, Any]:
    try:
        options = json.loads(argument) if argument else {}
    except ValueError:
        return {}
    return options if isinstance(options, dict) else {}


def _same(value: Any, _: str) -> Any:
    return value


MODIFIERS: Mapping[str, Callable[[Any, str], Any]] = {
    "this": _same,
    "pretty": _same,
    "ugly": _same,
    "valid": _same,
    "reverse": _reverse,
    "flatten": _flatten,
    "keys": _keys,
    "values": _values,
    "join": _join,
    "tostr": lambda value, _: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    "fromstr": _from_text,
    "group": _group,
}
"""By name. `pretty`, `ugly` and `valid` change how JSON is written, which a value has not."""
