"""What was made of each named value, kept while the value stays the same. Pure but for its memory.

A route table changes in one place and has a thousand; what is made of the others is at hand, and
those before and after that place are not even looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress, count
from operator import is_not
from typing import Any, Generic, Protocol, TypeVar


class Named(Protocol):
    """A value with a name, unique among those that are given together."""

    @property
    def name(self) -> str:
        """The name."""


Given = TypeVar("Given", bound=Named)
Made = TypeVar("Made")


class Kept(Generic[Given, Made]):
    """Makes something of each value by a pure function, once while the value stays."""

    def __init__(self, make: Callable[[Given], Made]) -> None:
        self._make = make
        self._values: list[Given] = []
        self._made: list[Made] = []

    def of(self, values: Iterable[Given]) -> list[Made]:
        """Return what is made of each value, in order; what is not among them is forgotten."""
        given = list(values)
        first, last = select_ends(self._values, given)
        # From here to there they may differ; before and behind stand the very same values.
        before = slice(first, len(self._values) - last)
        fresh = slice(first, len(given) - last)
        pairs = zip(self._values[before], self._made[before], strict=True)
        known = {value.name: (value, made) for value, made in pairs}
        made = list(self._made)
        made[before] = [self._find(value, known) for value in given[fresh]]
        self._values, self._made = given, made
        return list(made)

    def _find(self, value: Given, known: Mapping[str, tuple[Given, Made]]) -> Made:
        before = known.get(value.name)
        if before is not None and (before[0] is value or before[0] == value):
            return before[1]
        return self._make(value)


def select_ends(before: Sequence[Any], after: Sequence[Any]) -> tuple[int, int]:
    """Return how many values are the very same at the front of both, and then at their end."""
    shorter = min(len(before), len(after))
    first = _count_same(before, after, shorter)
    rest = shorter - first
    return first, _count_same(before[::-1][:rest], after[::-1][:rest], rest)


def _count_same(one: Sequence[Any], other: Sequence[Any], limit: int) -> int:
    """Return at which place the two differ first; `limit`, where they do not."""
    return next(compress(count(), map(is_not, one, other)), limit)
