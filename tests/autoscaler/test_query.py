"""The part of PromQL with which replicas are asked, and what a query comes to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.autoscaler.errors import MetricError
from sampan.autoscaler.exposition import make_series, parse_samples
from sampan.autoscaler.query import Matcher, Selector, parse_query
from sampan.autoscaler.query_value import evaluate

RUNNING, TOKENS = "vllm:num_requests_running", "vllm:generation_tokens_total"
TOLD = {
    make_series(RUNNING, {"pod": "a", "model_name": "opt"}): [(90.0, 2.0), (100.0, 4.0)],
    make_series(RUNNING, {"pod": "b", "model_name": "opt"}): [(100.0, 1.0)],
    make_series(TOKENS, {"pod": "a"}): [(40.0, 100.0), (70.0, 400.0), (100.0, 700.0)],
    make_series(TOKENS, {"pod": "b"}): [(40.0, 900.0), (70.0, 930.0), (100.0, 60.0)],
    make_series("nothing_yet", {}): [(100.0, math.nan)],
}

COMES_TO = {
    f"sum({RUNNING})": 5,
    f"avg({RUNNING})": 2.5,
    f"max({RUNNING})": 4,
    f"min({RUNNING})": 1,
    f"count({RUNNING})": 2,
    f'{RUNNING}{{pod="b"}}': 1,
    f'{RUNNING}{{pod!="b", model_name=~"o.t"}}': 4,
    f"sum({RUNNING}{{model_name='opt',}})": 5,
    f'sum({RUNNING}{{model_name!~"o.*"}})': 0,
    f'rate({TOKENS}{{pod="a"}}[1m])': 10,
    f'irate({TOKENS}{{pod="a"}}[5m])': 10,
    # b began anew between the last two: 30 before, 60 after.
    f"sum(increase({TOKENS}[1m]))": 600 + 30 + 60,
    f'max_over_time({RUNNING}{{pod="a"}}[10s])': 4,
    f'min_over_time({RUNNING}{{pod="a"}}[10s])': 2,
    f'avg_over_time({RUNNING}{{pod="a"}}[10s])': 3,
    f'sum_over_time({RUNNING}{{pod="a"}}[10s])': 6,
    f'count_over_time({RUNNING}{{pod="a"}}[10s])': 2,
    f'last_over_time({RUNNING}{{pod="a"}}[10s])': 4,
    # One value alone has no slope, and then there is nothing.
    f'rate({RUNNING}{{pod="b"}}[10s])': 0,
    f"sum({RUNNING}) * 100 / count({RUNNING}) + 1": 251,
    f"(sum({RUNNING}) - 1) / 2": 2,
    f"sum({RUNNING}) / 0": 0,
    "sum(never_told)": 0,
    "never_told / 2": 0,
    "nothing_yet": 0,
    "1.5e1": 15,
}


@pytest.mark.parametrize("query", COMES_TO)
def test_a_query_comes_to_one_number(query: str) -> None:
    assert evaluate(parse_query(query), TOLD, 100.0) == pytest.approx(COMES_TO[query])


REFUSED = {
    RUNNING: "tells 2 numbers and one is needed; wrap it in sum(...)",
    f"{RUNNING} / 2": "wrap its sides in sum(...)",
    f"{RUNNING}[1m]": "a range needs a function around it",
    f"rate({RUNNING})": '"rate" needs a range, such as rate(requests_total[1m])',
    f"rate(sum({RUNNING})[1m])": 'cannot be read from "[1m])" on',
    f"rate({RUNNING}[2h])": 'the range "2h" must be above 0 and at most 1h',
    f"rate({RUNNING}[soon])": '"soon" is no duration',
    "histogram_quantile(0.9, a)": 'cannot be read from "histogram_quantile(0.9, a)" on',
    f"sum({RUNNING}) by (pod)": 'cannot be read from "by (pod)" on',
    f"sum({RUNNING}": "cannot be read from the end on",
    f'{RUNNING}{{pod=~"("}}': '"(" is no regular expression',
    f"{RUNNING}{{pod>1}}": "cannot be read",
    "a > 1": 'cannot be read from "> 1" on',
    "": "cannot be read from the end on",
    "(" * 50 + "1": "nests more than 32 deep",
}


@pytest.mark.parametrize("query", REFUSED)
def test_a_query_that_cannot_be_answered_says_why(query: str) -> None:
    with pytest.raises(MetricError) as caught:
        evaluate(parse_query(query), TOLD, 100.0)
    assert REFUSED[query] in str(caught.value)


@given(st.text(alphabet="ab(){}[]=~!\"'1.,+-*/ sumrate:_m", max_size=40))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        value = evaluate(parse_query(text), TOLD, 100.0)
    except MetricError:
        return
    assert math.isfinite(value)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30))
def test_a_counter_never_grows_by_less_than_nothing(values: list[float]) -> None:
    told = {make_series("a_total", {}): [(float(n), v) for n, v in enumerate(values)]}
    found = evaluate(parse_query("increase(a_total[1h])"), told, 100.0)
    assert found >= max(0.0, values[-1] - values[0]) - 1e-6


TEXT = r"""
# HELP vllm:num_requests_running Requests
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a \"}\\ b"} 3.0
vllm:num_requests_running_more{} 9
plain 1e3 1700000000000
with_exemplar_total{a="b"} 5 # {trace_id="x"} 1
not_a_number{a="b"} soon
empty
plain_too
"""


def test_samples_are_read_with_their_labels() -> None:
    names = {RUNNING, "plain", "with_exemplar_total", "not_a_number", "empty"}
    assert list(parse_samples(TEXT, names)) == [
        (make_series(RUNNING, {"engine": "0", "model_name": 'a "}\\ b'}), 3.0),
        (make_series("plain", {}), 1000.0),
        (make_series("with_exemplar_total", {"a": "b"}), 5.0),
    ]


def test_a_matcher_keeps_what_its_text_escapes() -> None:
    assert parse_query(r'a{b="c\"d"}') == Selector("a", (Matcher("b", "=", 'c"d'),))
