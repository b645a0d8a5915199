"""Patterns of gjson: `*` any text, `?` one character, a backslash takes the next as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache


@lru_cache(maxsize=256)
def make_pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of a text; it must fit a name as a whole.

    What stands between two stars is looked for once, the nearest first, and never again: a pattern
    of many stars takes no time that grows with a power of the name.
    """
    first, *rest = _between_stars(text)
    if not rest:
        return re.compile(first, re.DOTALL)
    *middle, last = rest
    nearest = "".join(f"(?>.*?{part})" for part in middle if part)
    return re.compile(f"{first}{nearest}.*{last}", re.DOTALL)


def fits(text: str, pattern: str) -> bool:
    """Tell whether a text fits a pattern as a whole."""
    return make_pattern(pattern).fullmatch(text) is not None


def _between_stars(text: str) -> Iterator[str]:
    """Yield what stands before, between and after the stars, as regular expressions."""
    part: list[str] = []
    characters = iter(text)
    for character in characters:
        if character == "*":
            yield "".join(part)
            part = []
        elif character == "?":
            part.append(".")
        else:
            plain = next(characters, "\\") if character == "\\" else character
            part.append(re.escape(plain))
    yield "".join(part)
