"""Full garbage collections look at what is new, and now and then at everything."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from sampan.app.garbage import DEEP_SECONDS, short_collections


class Held:
    """Something that can stand in a circle."""

    def __init__(self) -> None:
        self.other: Held | None = None


def is_looked_at(one: object) -> bool:
    return any(found is one for found in gc.get_objects())


class Hours:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hours() -> Iterator[Hours]:
    clock = Hours()
    gc.collect()
    with short_collections(clock):
        yield clock


def make_circle() -> weakref.ref[Held]:
    one, other = Held(), Held()
    one.other, other.other = other, one
    return weakref.ref(one)


def test_what_outlives_a_full_collection_is_not_looked_at_again(hours: Hours) -> None:
    del hours
    kept = Held()
    assert is_looked_at(kept)
    gc.collect()
    assert not is_looked_at(kept)


def test_a_new_circle_is_found_by_the_next_full_collection(hours: Hours) -> None:
    del hours
    circle = make_circle()
    gc.collect()
    assert circle() is None


def test_a_circle_that_ends_after_it_was_set_aside_is_found_within_the_hour(hours: Hours) -> None:
    circle = make_circle()
    held = circle()
    gc.collect()
    del held
    gc.collect()
    assert circle() is not None
    hours.now += DEEP_SECONDS
    gc.collect()
    assert circle() is None


def test_in_the_end_everything_is_looked_at_as_before() -> None:
    kept = Held()
    with short_collections():
        assert not is_looked_at(kept)
    assert is_looked_at(kept)
    assert not [c for c in gc.callbacks if getattr(c, "__module__", "") == "sampan.app.garbage"]
