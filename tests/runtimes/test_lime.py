"""LIME: its arithmetic against what is known exactly, and what it asks of images and texts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.explainers import lime, lime_fit, segments
from sampan.runtimes.explainers.declaration import Asked
from sampan.runtimes.explainers.lime_settings import add_arguments, read_settings

WEIGHTS = st.lists(st.floats(-10, 10), min_size=1, max_size=8)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


@settings(max_examples=25, deadline=None)
@given(WEIGHTS, st.floats(-10, 10))
def test_a_line_is_found_again(weights, intercept):
    """What a linear model weighs is what LIME says, but for the ridge's pull towards 0."""
    steps = np.random.default_rng(0).standard_normal((2000, len(weights)))
    steps[0] = 0
    near = lime_fit.derive_kernel(np.linalg.norm(steps, axis=1), 2.0)
    fit = lime_fit.derive_fit(steps, steps @ np.array(weights) + intercept, near)
    assert fit.weights == pytest.approx(weights, abs=0.1)
    assert fit.local == pytest.approx(intercept, abs=0.1)
    assert fit.r2 > 0.99 or max(map(abs, weights)) < 0.1


def test_answers_that_never_change_weigh_nothing():
    masks = lime_fit.make_masks(4, 50, 0)
    fit = lime_fit.derive_fit(masks, np.full(50, 7.0), lime_fit.derive_cosine(masks) + 0.1)
    assert fit.weights == pytest.approx([0] * 4)
    assert (fit.local, fit.r2) == (pytest.approx(7), 1.0)


def test_the_first_mask_leaves_everything_and_the_seed_decides_the_rest():
    masks = lime_fit.make_masks(6, 20, 3)
    assert masks[0].tolist() == [1] * 6
    assert set(masks.ravel()) == {0.0, 1.0}
    assert (masks == lime_fit.make_masks(6, 20, 3)).all()
    assert (masks != lime_fit.make_masks(6, 20, 4)).any()


def test_what_is_nearer_counts_more():
    near = lime_fit.derive_kernel(np.array([0.0, 0.1, 1.0]), 0.25)
    assert near[0] == 1
    assert 1 > near[1] > near[2] > 0


@given(st.integers(1, 40), st.integers(1, 40))
def test_tiles_are_numbered_without_a_gap_and_at_most_eight_a_side(height, width):
    found = segments.find_segments(np.zeros((height, width, 1)), "grid")
    assert found.shape == (height, width)
    assert sorted(set(found.ravel())) == list(range(min(height, 8) * min(width, 8)))


def test_a_mask_shows_what_weighs_enough():
    parts = np.array([[0, 1], [2, 3]])
    weights = np.array([0.5, -0.7, 0.001, 0.02])
    shown = lime.render_mask(parts, weights, read_settings({}, parse()))
    assert shown.tolist() == [[1, 0], [0, 1]]
    both = read_settings({"positive_only": False, "min_weight": 0.1}, parse())
    assert lime.render_mask(parts, weights, both).tolist() == [[1, -1], [0, 0]]


def test_a_word_that_is_left_out_leaves_the_others_as_they_are():
    words = ["not", "bad", "at", "all"]
    said = lime.leave_out("Not bad, not bad at all!", ["Not", *words], np.array([1, 0, 1, 1, 0]))
    assert said == "Not bad,  bad at !"


class Predictor:
    """What stands where the predictor is asked: a function of what is asked."""

    rows = 0

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer

    def __call__(self, asked: Any) -> Any:
        return np.asarray(self._answer(asked), dtype=float)


def test_the_words_that_a_model_goes_by_are_the_heaviest():
    model = lime.LimeExplainer("movies", Asked("x"), parse("--explainer_type=LimeTexts"))
    settings_ = read_settings({"num_samples": 400, "top_labels": 1}, parse())
    good = Predictor(lambda texts: [[0.1 + 0.6 * ("great" in t), 0.2] for t in texts])
    told = model._texts({"instances": ["a great film with a dull end"]}, settings_, good)
    assert list(told) == ["0"]
    assert told["0"][0][0] == "great"
    assert told["0"][0][1] == pytest.approx(0.6, abs=0.1)
    assert all(abs(weight) < 0.1 for _, weight in told["0"][1:])


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_the_part_of_an_image_that_a_model_looks_at_is_found(channels):
    words = ("--segmentation_alg=grid", "--num_samples=400")
    model = lime.LimeExplainer("digits", Asked("x"), parse(*words))
    image = np.ones((8, 8, channels) if channels else (8, 8))
    looks = Predictor(lambda images: [[im[2, 5].mean(), 0.5] for im in images])
    told = model._images({"instances": [image.tolist()]}, read_settings({}, parse(*words)), looks)
    assert told["top_labels"] == [0, 1]
    assert np.array(told["masks"][0]).nonzero() == ([2], [5])
    assert told["temp"] == image.tolist()
    assert np.argmax(told["weights"][0]) == 2 * 8 + 5


BAD: dict[str, tuple[Any, str]] = {
    "no instances": ({}, "holds 0; send one"),
    "two images": ({"instances": [[[1]], [[1]]]}, "holds 2; send one"),
    "a row": ({"instances": [[1, 2]]}, r"shape \[2\]"),
    "words": ({"instances": [[["a"]]]}, "must be numbers"),
    "not finite": ({"instances": [[[float("inf")]]]}, "finite"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_a_bad_image_is_the_client_s(case):
    payload, words = case
    with pytest.raises(InvalidInput, match=words):
        lime.read_image(payload)


@pytest.mark.parametrize("text", ["", " ,.", 3, None])
def test_a_text_without_words_is_the_client_s(text):
    with pytest.raises(InvalidInput, match="send a text with words"):
        lime.read_text({"instances": [text]})


def test_a_request_may_say_for_itself_what_an_argument_says():
    told = {"num_samples": "50", "positive_only": "false", "top_labels": 2, "seed": 9}
    found = read_settings(told, parse("--seed=1"))
    assert (found.num_samples, found.positive_only, found.top_labels) == (50, False, 2)
    assert found.seed == 1  # not the client's to say


WRONG = {
    "num_samples": 0, "top_labels": "many", "positive_only": "perhaps", "min_weight": "x",
    "segmentation_alg": "guess",
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG.items())
def test_a_wrong_setting_of_a_request_is_named(name, value):
    with pytest.raises(InvalidInput, match=name):
        read_settings({name: value}, parse())
