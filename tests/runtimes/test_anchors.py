"""Anchors: the bounds, the search against models whose rule is known, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.runtimes.explainers.anchor_search import Rule, Search, divergence, find_anchor
from sampan.runtimes.explainers.anchor_search import lower as low
from sampan.runtimes.explainers.anchor_search import upper as high
from sampan.runtimes.explainers.anchors import select_classes
from sampan.runtimes.explainers.bins import Bins

SHARES = st.floats(0, 1)


@given(SHARES, st.floats(0.0001, 5))
def test_bounds_hold_the_mean_and_are_as_far_as_the_level_says(mean, level):
    below, above = low(mean, level), high(mean, level)
    assert 0 <= below <= mean + 1e-6
    assert mean - 1e-6 <= above <= 1
    for bound, end in ((below, 0.0), (above, 1.0)):
        if abs(bound - end) > 1e-4 and abs(bound - mean) > 1e-4:
            assert divergence(mean, bound) == pytest.approx(level, rel=0.05, abs=0.01)


@given(SHARES, SHARES)
def test_divergence_is_nought_at_the_same_coin_and_never_below(p, q):
    assert divergence(p, p) == pytest.approx(0, abs=1e-6)
    assert divergence(p, q) >= -1e-9


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 5), max_size=3), st.integers(0, 1000))
def test_the_rule_that_a_model_goes_by_is_found_and_no_longer_one(needed, seed):
    """The model says the same where all the features that it looks at are as they were."""
    drawn = np.random.default_rng(seed)

    def sample(rule: Rule, count: int) -> int:
        free = len(needed - rule)
        return int((drawn.random((count, free)) < 0.5).all(axis=1).sum()) if free else count

    found = find_anchor(6, sample, lambda rule: 1 / (1 + len(rule)), Search())
    assert found.rule == needed
    assert found.holds
    assert found.precision == 1


def test_a_model_that_says_whatever_it_likes_has_no_anchor_and_the_search_ends():
    drawn, asked = np.random.default_rng(0), [0]

    def sample(rule: Rule, count: int) -> int:
        del rule
        asked[0] += count
        return int((drawn.random(count) < 0.6).sum())

    found = find_anchor(5, sample, lambda _: 1.0, Search(budget=20_000))
    assert not found.holds
    assert found.precision < 0.8
    assert asked[0] <= 20_000 + 2 * 100 * 20  # what was under way when it was spent


# The table

TABLE = np.array([[age, sex] for age in range(20, 100) for sex in (0, 1)], dtype=float)


@pytest.fixture
def bins() -> Bins:
    return Bins(["age", "sex"], TABLE)


WORDS = {
    (20.0, 0.0): ["age <= 39.75", "sex = 0"],
    (50.0, 1.0): ["39.75 < age <= 59.50", "sex = 1"],
    (99.0, 1.0): ["age > 79.25", "sex = 1"],
}


@pytest.mark.parametrize(("row", "words"), WORDS.items())
def test_a_condition_is_said_in_words(bins, row, words):
    place = bins.locate(np.array(row))
    assert [bins.describe(feature, place) for feature in (0, 1)] == words


def test_rows_that_are_made_keep_the_rule_and_nothing_else(bins):
    row = np.array([50.0, 1.0])
    place = bins.locate(row)
    made = bins.sample(row, place, frozenset({0}), 500, np.random.default_rng(0))
    assert ((made[:, 0] > 39.75) & (made[:, 0] <= 59.5)).all()
    assert set(made[:, 1]) == {0.0, 1.0}
    assert bins.coverage(place, frozenset({0})) == pytest.approx(0.25, abs=0.02)
    assert bins.coverage(place, frozenset()) == 1
    assert (TABLE[0] == [20, 0]).all()  # the background is as it was


def test_scores_are_taken_for_the_class_of_the_highest():
    assert select_classes(np.array([[0.1, 0.9], [0.8, 0.2]])).tolist() == [1, 0]
    assert select_classes(np.array([[2.0], [0.0]])).tolist() == [2, 0]
