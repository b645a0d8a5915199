"""What was made of each named value, kept while the value stays the same. Pure but for its memory.

A route table changes in one place and has a thousand; what is made of the others is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar


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
        self._known: dict[str, tuple[Given, Made]] = {}

    def of(self, values: Iterable[Given]) -> list[Made]:
        """Return what is made of each value, in order; what is not among them is forgotten."""
        found = [self._find(value) for value in values]
        self._known = {value.name: (value, made) for value, made in found}
        return [made for _, made in found]

    def _find(self, value: Given) -> tuple[Given, Made]:
        known = self._known.get(value.name)
        if known is not None and (known[0] is value or known[0] == value):
            return known
        return value, self._make(value)
