"""The short way through the check of a V2 request says nothing that the long way would not."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sampan.protocol import v2_schema

anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2)
anything = anything | st.lists(anything, max_size=2)
shapes = st.lists(st.integers(0, 9) | st.sampled_from(["2", 2.0, True, -1]), max_size=3)
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=2) | anything,
        "shape": shapes | anything,
        "datatype": st.sampled_from(["FP64", "fp64", "", 1]),
        "data": st.lists(st.integers(), max_size=2) | anything,
        "parameters": st.none() | st.dictionaries(st.text(max_size=1), anything, max_size=1),
    },
)
requests = (
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.text(max_size=2) | anything,
            "inputs": st.lists(tensors | anything, max_size=2) | anything,
            "outputs": st.lists(tensors, max_size=1) | anything,
            "parameters": anything,
        },
    )
    | anything
)


@given(requests, st.booleans())
def test_what_is_sound_at_a_glance_is_sound_and_stays_as_it_is(value: Any, binary: bool) -> None:
    if v2_schema._is_plain(value):  # the short way itself
        whole = {**copy.deepcopy(value), "parameters": None}  # makes it go the long way
        assert v2_schema.validate_request(whole, binary=binary) == []
        assert {**value, "parameters": None} == whole


def test_the_usual_request_goes_the_short_way() -> None:
    tensor = {"name": "a", "shape": [2], "datatype": "INT64", "data": [1, 2]}
    assert v2_schema._is_plain({"inputs": [tensor]})
    assert v2_schema._is_plain({"id": "1", "inputs": [tensor, tensor]})
