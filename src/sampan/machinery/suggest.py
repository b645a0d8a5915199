"""The nearest known name to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable

CLOSENESS = 0.6
"""Below this share of common letters (difflib's ratio) a guess would only mislead."""


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, or None when none is near.

    The same letters in another case come first.
    """
    import difflib

    names = list(known)
    for name in names:
        if name.lower() == word.lower():
            return name
    lowered = {name.lower(): name for name in reversed(names)}
    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=CLOSENESS)
    return lowered[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "name"` to end a message with, or ""."""
    name = suggest(word, known)
    return f'; did you mean "{name}"' if name else ""
