"""Following a gjson path in a JSON value. Pure."""

from __future__ import annotations

from typing import Any

from sampan.gjson.compare import MISSING, compare
from sampan.gjson.modify import MODIFIERS, modify
from sampan.gjson.path import (
    Clause,
    Constant,
    Each,
    Key,
    Modifier,
    Path,
    Query,
    Several,
    Step,
)


def find(value: Any, path: Path) -> Any:
    """Return what a path finds in a value, or MISSING; null is found where null stands."""
    if not path.steps:
        return MISSING
    for step in path.steps:
        value = _follow(value, step)
        if value is MISSING:
            return MISSING
    return value


def exists(value: Any, path: Path) -> bool:
    """Tell whether a path finds anything: an InferenceGraph's condition holds."""
    return find(value, path) is not MISSING


def _follow(value: Any, step: Step) -> Any:  # one return a kind of step
    match step:
        case Key():
            return _member(value, step)
        case Each(rest):
            if not isinstance(value, list):
                return MISSING
            return len(value) if rest is None else _in_each(value, rest)
        case Query():
            return _query(value, step)
        case Several(kind, members):
            pairs = [(name, find(value, path)) for name, path in members]
            there = [(name, item) for name, item in pairs if item is not MISSING]
            return [item for _, item in there] if kind == "array" else dict(there)
        case Modifier(name, argument):
            if name in MODIFIERS:
                return modify(value, name, argument)
            return _member(value, Key(f"@{name}" + (f":{argument}" if argument else "")))
        case Constant(literal):
            return literal


def _member(value: Any, key: Key) -> Any:
    if isinstance(value, dict):
        if key.pattern is None:
            return value.get(key.name, MISSING)
        names = (name for name in value if key.pattern.fullmatch(name))
        return value.get(next(names, None), MISSING)
    if isinstance(value, list) and key.name.isdecimal() and key.name.isascii():
        index = int(key.name) if len(key.name) < 10 else len(value)  # digits
        return value[index] if index < len(value) else MISSING
    return MISSING


def _in_each(values: list[Any], rest: Path) -> list[Any]:
    found = (find(value, rest) for value in values)
    return [item for item in found if item is not MISSING]


def _query(value: Any, query: Query) -> Any:
    if not isinstance(value, list):
        return MISSING
    fitting = (
        item
        for item in value
        if any(all(_holds(item, clause) for clause in clauses) for clauses in query.either)
    )
    if not query.every:
        return next(fitting, MISSING)
    return list(fitting) if query.rest is None else _in_each(list(fitting), query.rest)


def _holds(item: Any, clause: Clause) -> bool:
    if clause.path is None:
        scalar = not isinstance(item, dict | list)
        return compare(item if scalar else MISSING, clause.operator, clause.operand)
    inside = isinstance(item, dict | list)
    return inside and compare(find(item, clause.path), clause.operator, clause.operand)
