"""The metrics of fairness, against sums done by hand, and what is refused."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.explainers import fairness
from sampan.runtimes.explainers.declaration import Asked
from sampan.server.model import Model

ARGUMENTS = [
    "--feature_names", "age", "income", "--favorable_label=1", "--unfavorable_label=2",
    '--privileged_groups={"age": 1}', '--unprivileged_groups={"age": 0}',
]  # fmt: skip
ROWS = [[1, 10], [1, 20], [1, 30], [1, 40], [0, 10], [0, 20], [0, 30], [0, 40]]


def make(*words: str) -> Model:
    parser = argparse.ArgumentParser()
    fairness.EXPLAINER.add_arguments(parser)
    return fairness.EXPLAINER.make("credit", Asked("nobody"), parser.parse_args(words or ARGUMENTS))


def test_the_metrics_are_those_of_kserve_s_explainer():
    told = make().explain({"instances": ROWS, "outputs": [1, 1, 1, 2, 1, 2, 2, 2]})
    assert told["predictions"] == [1, 1, 1, 2, 1, 2, 2, 2]
    consistency = told["metrics"].pop("consistency")
    assert told["metrics"] == {
        "base_rate": 0.5,
        "disparate_impact": pytest.approx(0.25 / 0.75),
        "num_instances": 8.0,
        "num_negatives": 4.0,
        "num_positives": 4.0,
        "statistical_parity_difference": pytest.approx(-0.5),
    }
    assert len(consistency) == 1
    assert 0 <= consistency[0] <= 1


def test_neighbours_that_are_treated_alike_are_consistent():
    rows = np.array([[0.0, i] for i in range(10)] + [[1000.0, i] for i in range(10)])
    alike = np.array([True] * 10 + [False] * 10)
    assert fairness.derive_consistency(rows, alike) == 1
    assert fairness.derive_consistency(rows, np.arange(20) % 2 == 0) < 0.7


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_consistency_is_the_mean_distance_to_the_nearest_done_slowly(count, seed):
    drawn = np.random.default_rng(seed)
    rows, said = drawn.integers(0, 1000, (count, 3)).astype(float), drawn.random(count) < 0.5
    off = 0.0
    for row, own in zip(rows, said, strict=True):
        order = np.argsort(((rows - row) ** 2).sum(axis=1), kind="stable")[:5]
        off += abs(float(own) - said[order].mean())
    assert fairness.derive_consistency(rows, said) == pytest.approx(1 - off / count)


def test_a_group_without_rows_has_no_rate():
    told = make().explain({"instances": [[1, 10]], "outputs": [1]})["metrics"]
    assert told["disparate_impact"] is None
    assert told["statistical_parity_difference"] is None


def test_a_ratio_to_nobody_is_none():
    told = make().explain({"instances": ROWS[2:6], "outputs": [2, 2, 1, 1]})["metrics"]
    assert told["disparate_impact"] is None
    assert told["statistical_parity_difference"] == 1


BAD: dict[str, tuple[Any, str]] = {
    "too few outputs": ({"instances": ROWS, "outputs": [1]}, "1 to 8 instances"),
    "words for outputs": ({"instances": ROWS[:1], "outputs": ["good"]}, "must be numbers"),
    "a label that is none": ({"instances": ROWS[:1], "outputs": [3]}, "labels are 1 and 2"),
    "rows of another width": ({"instances": [[1]], "outputs": [1]}, "rows of 2 numbers"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_the_client_s(case):
    payload, words = case
    with pytest.raises(InvalidInput, match=words):
        make().explain(payload)


def test_a_group_of_a_feature_that_is_not_named_ends_the_start():
    with pytest.raises(ValueError, match=r'"sex".*age, income'):
        make("--feature_names", "age", "income", '--privileged_groups={"sex": 1}')


@pytest.mark.parametrize("text", ["age", "[1]", "{}", '{"age": "old"}'])
def test_what_is_no_group_ends_the_start(text, capsys):
    with pytest.raises(SystemExit):
        make(f"--privileged_groups={text}")
    assert "is no group" in capsys.readouterr().err
