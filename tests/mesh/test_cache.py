"""What stays in memory: least recently used goes first, and never more than there is room for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.mesh.cache import ModelCache, NoRoom

MIB = 1024**2


def filled(*names: str, capacity: int = 10, weight: int = 4) -> ModelCache:
    """A cache into which models came one after another."""
    cache = ModelCache(capacity)
    for now, name in enumerate(names, 1):
        cache.admit(name, weight, float(now))
    return cache


def test_the_longest_unused_makes_room():
    cache = filled("a", "b")
    assert cache.admit("c", 4, 3.0) == ("a",)
    assert [name in cache for name in "abc"] == [False, True, True]


def test_what_is_asked_for_stays():
    cache = filled("a", "b")
    cache.touch("a", 5.0)
    assert cache.admit("c", 4, 6.0) == ("b",)


def test_several_go_where_one_is_not_enough():
    assert filled("a", "b").admit("c", 9, 3.0) == ("a", "b")


def test_what_is_being_loaded_stays():
    assert filled("a", "b").admit("c", 4, 3.0, kept={"a"}) == ("b",)


@pytest.mark.parametrize(
    ("weight", "kept", "text"),
    [
        pytest.param(11, (), "counts for 11 bytes", id="a model larger than all room has none"),
        pytest.param(4, ("a", "b"), "is being loaded", id="none while all others are loaded"),
    ],
)
def test_what_has_no_room_changes_nothing(weight: int, kept: tuple[str, ...], text: str):
    cache = filled("a", "b")
    with pytest.raises(NoRoom, match=text):
        cache.admit("c", weight, 3.0, kept=kept)
    assert (cache.used, len(cache)) == (8, 2)


def test_a_model_takes_nobody_s_place_who_was_used_since():
    with pytest.raises(NoRoom, match="more recently"):
        filled("a", "b").admit("c", 4, 0.5)


def test_one_that_nobody_asked_for_is_the_first_to_go():
    cache = filled("a", "b")
    cache.age("b", -3600.0)
    assert cache.admit("c", 4, 3.0) == ("b",)


def test_less_room_ends_the_longest_unused():
    cache = filled("a", "b")
    assert (cache.shrink(5), cache.used) == (("a",), 4)


def test_as_many_stay_as_the_capacity_holds_of_them():
    """ModelMesh's figures (EvictionsModelMeshTest): 949 MiB hold 18 models of 50 MiB."""
    cache = ModelCache(949 * MIB)
    for now in range(40):
        cache.admit(f"m{now}", 50 * MIB, float(now))
    assert len(cache) == 18


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["admit", "touch", "drop"]), st.integers(0, 7), st.integers(1, 5)),
    max_size=60,
)


@given(ACTIONS, st.integers(0, 12))
def test_it_is_a_plain_list_in_the_order_of_use(actions: list[tuple[str, int, int]], room: int):
    cache = ModelCache(room)
    plain: list[tuple[str, int]] = []  # the longest unused first
    for now, (action, number, weight) in enumerate(actions):
        name, held = f"m{number}", dict(plain)
        if action == "drop":
            cache.drop(name)
            plain = [one for one in plain if one[0] != name]
        elif action == "touch":
            cache.touch(name, float(now))
            if name in held:
                plain = [*(one for one in plain if one[0] != name), (name, held[name])]
        elif name not in held and weight <= room:
            gone = []
            while sum(w for _, w in plain) + weight > room:
                gone.append(plain.pop(0)[0])
            assert cache.admit(name, weight, float(now)) == tuple(gone)
            plain.append((name, weight))
        assert cache.used == sum(w for _, w in plain) <= room
        assert cache.ages().keys() == dict(plain).keys()
