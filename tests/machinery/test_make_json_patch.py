"""The JSON patch between two objects: applied to the one, it gives the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machinery.patch import json_patch, make_json_patch
from sampan.machinery.patch.merge_patch import same_json

NAMES = st.sampled_from(["a", "b", "a/b", "~", "~1", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 1) | st.sampled_from(["", "a", 0.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@given(JSON, JSON)
def test_applied_to_the_old_it_gives_the_new(old: Any, new: Any) -> None:
    assert same_json(json_patch(old, make_json_patch(old, new)), new)


@given(JSON)
def test_there_is_nothing_to_do_where_nothing_changed(value: Any) -> None:
    assert make_json_patch(value, value) == []


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        pytest.param(
            {"a": 1}, {"a": 1, "b": 2}, [{"op": "add", "path": "/b", "value": 2}], id="a new field"
        ),
        pytest.param({"a/b": 1}, {}, [{"op": "remove", "path": "/a~1b"}], id="a field that went"),
        pytest.param(
            [1], [1, 2], [{"op": "add", "path": "/-", "value": 2}], id="an item more"
        ),
        pytest.param(
            [1, 2, 3], [1], [{"op": "remove", "path": "/2"}, {"op": "remove", "path": "/1"}],
            id="items that went, the last first",
        ),
        pytest.param(
            {"a": True}, {"a": 1}, [{"op": "replace", "path": "/a", "value": 1}],
            id="a number in the place of a truth",
        ),
    ],
)  # fmt: skip
def test_it_says_no_more_than_what_differs(old: Any, new: Any, patch: Any) -> None:
    assert make_json_patch(old, new) == patch
