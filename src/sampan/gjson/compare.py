"""How a query compares: by the type of what is found, never by the look of the operand.

gjson, queries. An operand that is no number compares with numbers as 0.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from sampan.gjson.glob import fits

MISSING = object()
"""What a path that finds nothing returns; null is a value that was found."""

ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf(inity)?|nan)", re.IGNORECASE)
_TRUE, _FALSE = frozenset({"1", "t", "true"}), frozenset({"0", "f", "false"})


def compare(value: Any, symbol: str, operand: str) -> bool:
    """Tell whether a found value compares as told; `symbol` "": it is enough that it was found."""
    if operand.startswith("~"):
        value, operand = _likeness(value, operand[1:])
    if value is MISSING:
        return False
    if not symbol:
        return True
    if isinstance(value, bool):
        return _compare_flag(value, symbol, operand)
    if isinstance(value, str):
        return _compare_text(value, symbol, operand)
    if isinstance(value, int | float):
        known = ORDERED.get(symbol)
        return known is not None and known(value, parse_number(operand))
    return False


def parse_number(text: str) -> float:
    """Return a number; 0 for what is none."""
    return float(text) if _NUMBER.fullmatch(text) else 0.0


def _compare_text(value: str, symbol: str, operand: str) -> bool:
    if symbol.endswith("%"):
        return fits(value, operand) is (symbol == "%")
    # Go orders strings by their bytes, as Python does by code points: the same for UTF-8.
    return ORDERED[symbol](value, operand)


def _compare_flag(value: bool, symbol: str, operand: str) -> bool:  # the value itself
    own, other = ("true", "false") if value else ("false", "true")
    allowed = {
        "=": operand == own,
        "!=": operand != own,
        ">=" if value else "<=": True,
        ">" if value else "<": operand == other,
    }
    return allowed.get(symbol, False)


def _likeness(value: Any, kind: str) -> tuple[Any, str]:
    """Return whether a value is like true, false, null or anything, to be compared with "true"."""
    likes = {
        "*": value is not MISSING,
        "null": value is MISSING or value is None,
        "true": _is_like(value, _TRUE, flag=True),
        "false": value is MISSING or value is None or _is_like(value, _FALSE, flag=False),
    }
    return (likes[kind], "true") if kind in likes else (MISSING, "")


def _is_like(value: Any, words: frozenset[str], *, flag: bool) -> bool:
    if isinstance(value, bool):
        return value is flag
    if isinstance(value, str):
        return value.lower() in words
    return isinstance(value, int | float) and (value != 0) is flag
