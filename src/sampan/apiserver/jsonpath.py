"""The JSONPath of printer columns: names, indexes, `[*]` and filters such as `[?(@.a=='b')]`. Pure.

A subset of Kubernetes's JSONPath templates ("JSONPath Support"): what CRDs' printer columns use.
A path is compiled once into steps; each step maps the values found so far to the next ones.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

Step: TypeAlias = Callable[[Any], Iterable[Any]]
Path: TypeAlias = tuple[Step, ...]

_NAME = re.compile(r"\.((?:[^.\[\]\\*]|\\.)+)")
_QUOTED = re.compile(r"\[(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\]")
_INDEX = re.compile(r"\[(-?\d+)\]")
_ALL = re.compile(r"\[\*\]|\.\*")
_FILTER = re.compile(
    r"\[\?\(@((?:\.(?:[^.\[\]\\=!<>)\s]|\\.)+)+)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*\)\]"
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = {"true": True, "false": False, "null": None}


def find(path: str, obj: Any) -> list[Any]:
    """Return every value that `path` names in `obj`, in order; none where something is missing."""
    found = [obj]
    for step in compile_path(path):
        found = [value for base in found for value in step(base)]
    return found


@lru_cache(maxsize=512)
def compile_path(path: str) -> Path:
    """Return the steps of a path; raise ValueError with the part that cannot be read."""
    text = path if path.startswith((".", "[")) else f".{path}"
    steps: list[Step] = []
    at = 0
    while at < len(text):
        step, at = _next_step(text, at)
        steps.append(step)
    return tuple(steps)


def _next_step(text: str, at: int) -> tuple[Step, int]:
    for pattern, make in _STEPS:
        if found := pattern.match(text, at):
            return make(found), found.end()
    raise ValueError(f'JSONPath "{text}" cannot be read from "{text[at:]}" on')


def _make_name(found: re.Match[str]) -> Step:
    name = _unescaped(next(g for g in found.groups() if g is not None))
    return lambda base: [base[name]] if isinstance(base, dict) and name in base else []


def _make_index(found: re.Match[str]) -> Step:
    index = int(found[1])

    def pick(base: Any) -> Iterable[Any]:
        inside = isinstance(base, list) and -len(base) <= index < len(base)
        return [base[index]] if inside else []

    return pick


def _make_all(_found: re.Match[str]) -> Step:
    return _children


def _make_filter(found: re.Match[str]) -> Step:
    path, sign, literal = found[1], found[2], found[3]
    if sign is None:
        return lambda base: [v for v in _children(base) if find(path, v)]
    compare, wanted = _OPERATORS[sign], _literal(literal)
    return lambda base: [
        v for v in _children(base) if any(_holds(compare, f, wanted) for f in find(path, v))
    ]


def _children(base: Any) -> Iterable[Any]:
    if isinstance(base, dict):
        return list(base.values())
    return base if isinstance(base, list) else []


def _holds(compare: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    try:
        return compare(value, wanted)
    except TypeError:  # values of different kinds have no order
        return False


def _literal(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "'\"" and text[-1] == text[0] and len(text) > 1:
        return _unescaped(text[1:-1])
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise ValueError(
            f"JSONPath filter compares with {text}, which is neither a quoted string, a number "
            "nor true, false or null"
        ) from None


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


_STEPS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Step]], ...] = (
    (_FILTER, _make_filter),
    (_INDEX, _make_index),
    (_ALL, _make_all),
    (_QUOTED, _make_name),
    (_NAME, _make_name),
)
