"""What is made of values that come again and again is what is made of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sampan.gateway.kept import Kept, select_ends


@dataclass(frozen=True)
class Item:
    """A value with a name."""

    name: str
    size: int


ITEMS = st.lists(st.builds(Item, st.sampled_from("abcdef"), st.integers(0, 3)), max_size=8)
POOL = [Item(name, size) for name in "abcdef" for size in range(2)]
SAME = st.lists(st.sampled_from(POOL), max_size=8)
"""The very same values come again, as in tables they do."""


@given(st.lists(ITEMS | SAME))
def test_what_is_kept_is_what_would_be_made(given_: list[list[Item]]) -> None:
    kept: Kept[Item, str] = Kept(repr)
    for items in given_:
        assert kept.of(items) == [repr(item) for item in items]


def test_only_what_is_new_is_made() -> None:
    made: list[Item] = []
    kept: Kept[Item, None] = Kept(made.append)
    a, b, c = (Item(name, 1) for name in "abc")
    kept.of([a, b, c])
    made.clear()
    kept.of([a, Item("b", 2), c])
    kept.of([a, Item("b", 2), Item("bb", 1), c])
    kept.of([c, a])
    assert made == [Item("b", 2), Item("bb", 1)]


def test_what_cannot_be_made_changes_nothing() -> None:
    kept: Kept[Item, float] = Kept(lambda item: 1 / item.size)
    for size in (1, 0, 2):
        try:
            assert kept.of([Item("a", size)]) == [1 / size]
        except ZeroDivisionError:
            assert size == 0


@given(SAME, SAME)
def test_ends_are_the_very_same_and_never_overlap(
    one: Sequence[Item], other: Sequence[Item]
) -> None:
    first, last = select_ends(one, other)
    assert first + last <= min(len(one), len(other))
    ends = zip(one[:first], other[:first], strict=True)
    assert all(a is b for a, b in ends)
    assert all(
        a is b for a, b in zip(one[len(one) - last :], other[len(other) - last :], strict=True)
    )
    shorter = min(len(one), len(other))
    assert first + last == shorter or one[first] is not other[first]
