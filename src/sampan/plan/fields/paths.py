"""Paths of fields in a schema, such as `spec.canary[].trafficPercent`, and the values behind them.

`[]` stands for every item of a list and `*` for every key of a map. A key with dots stands in
brackets and quotes, as in `metadata.annotations["a/b"]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

_PART = re.compile(r'\["([^"]+)"\]|(\[\])|([^.\[\]]+)')


@cache
def parts_of(path: str) -> tuple[str, ...]:
    """Return the parts of a path: `("spec", "canary", "[]", "trafficPercent")`."""
    return tuple(key or items or name for key, items, name in _PART.findall(path))


def values_at(obj: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each value that a path leads to in an object, with where it is; nulls are no values."""
    yield from _values(obj, parts_of(path), "")


def _values(value: Any, parts: tuple[str, ...], where: str) -> Iterator[tuple[str, Any]]:
    if not parts:
        if value is not None:
            yield where, value
        return
    part, rest = parts[0], parts[1:]
    if part == "[]":
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _values(item, rest, f"{where}[{index}]")
    elif isinstance(value, Mapping):
        for name in value if part == "*" else [part]:
            if name in value:
                yield from _values(value[name], rest, _joined(where, str(name)))


def _joined(where: str, name: str) -> str:
    if "." in name or "/" in name:
        return f'{where}["{name}"]'
    return f"{where}.{name}" if where else name
