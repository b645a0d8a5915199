"""How the rows of a request become a matrix, and what is said of rows that do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.tabular_columns import Columns
from sampan.runtimes.tabular_rows import make_matrix

NAMED = Columns(2, ("length", "width"))
NAMELESS = Columns(2)
COMPLETE = Columns(2, ("length", "width"), missing=False, infinite=False)
NAN = float("nan")


def tensor(data, shape, datatype="FP32", name="input-0"):
    return InferInput(name, shape, datatype, data)


def request(*inputs, **parameters):
    return InferRequest("m", list(inputs), parameters=parameters or None)


@pytest.mark.parametrize(
    ("payload", "columns", "rows"),
    [
        pytest.param({"instances": [[1, 2], [3, 4]]}, NAMED, [[1, 2], [3, 4]], id="lists"),
        pytest.param({"inputs": [[1, 2.5]]}, NAMED, [[1, 2.5]], id="under the other key"),
        pytest.param(
            {"instances": [{"width": 2, "length": 1}]}, NAMED, [[1, 2]], id="objects by name"
        ),
        pytest.param(
            {"instances": [[{"width": 2, "length": 1}], [{"width": 4, "length": 3}]]},
            NAMED,
            [[1, 2], [3, 4]],
            id="lists of objects",
        ),
        pytest.param(
            {"inputs": [{"width": {"0": 2, "1": 4}, "length": {"0": 1, "1": 3}}]},
            NAMED,
            [[1, 2], [3, 4]],
            id="a DataFrame's columns by index",
        ),
        pytest.param(
            {"inputs": {"width": [2, 4], "length": [1, 3]}},
            NAMED,
            [[1, 2], [3, 4]],
            id="columns as lists",
        ),
        pytest.param(
            {"instances": [{"b": 1, "a": 2}]}, NAMELESS, [[1, 2]], id="objects in their own order"
        ),
        pytest.param({"instances": [[1, None]]}, NAMED, [[1, NAN]], id="null is missing"),
        pytest.param(
            {"instances": [{"length": None, "width": 2}]}, NAMED, [[NAN, 2]], id="null by name"
        ),
        pytest.param({"instances": [[True, False]]}, NAMED, [[1, 0]], id="truth values"),
        pytest.param(
            request(tensor([1, 2, 3, 4], [2, 2])), NAMED, [[1, 2], [3, 4]], id="one tensor"
        ),
        pytest.param(
            request(tensor([1, 2], [1, 2], "INT64")), NAMED, [[1, 2]], id="whole numbers"
        ),
        pytest.param(
            request(
                tensor([2, 4], [2], "INT64", "width"), tensor([1, 3], [2, 1], "FP64", "length")
            ),
            NAMED,
            [[1, 2], [3, 4]],
            id="a tensor a column",
        ),
        pytest.param(
            request(tensor([2], [1], name="width"), tensor([1], [1], name="length"),
                    content_type="pd"),
            NAMED,
            [[1, 2]],
            id="a DataFrame",
        ),
    ],
)  # fmt: skip
def test_rows(payload, columns, rows):
    matrix = make_matrix(payload, columns)
    assert matrix.dtype.kind == "f"
    np.testing.assert_array_equal(matrix, rows)


@pytest.mark.parametrize(
    ("payload", "columns", "said"),
    [
        pytest.param({"instances": []}, NAMED, '"instances" has no rows', id="no rows"),
        pytest.param(
            request(tensor([], [0, 2])), NAMED, '"input-0" has no rows', id="an empty tensor"
        ),
        pytest.param(
            {"instances": [[1, 2, 3]]},
            NAMED,
            '"instances" has 3 features a row; give 2 features ("length", "width")',
            id="too wide",
        ),
        pytest.param(
            request(tensor([1], [1, 1])), NAMELESS, '"input-0" has 1 features a row', id="too thin"
        ),
        pytest.param(
            {"instances": [[1, 2], [3]]}, NAMED, '"instances"[1] has 1 features', id="ragged"
        ),
        pytest.param({"instances": [1, 2]}, NAMED, '"instances" is shape [2]', id="no matrix"),
        pytest.param(
            request(tensor([1, 2], [2])), NAMED, '"input-0" is shape [2]', id="a flat tensor"
        ),
        pytest.param(
            {"instances": [[1, "x"]]},
            NAMED,
            '"instances"[0]: feature "width" is "x"; this model takes numbers',
            id="text",
        ),
        pytest.param(
            {"instances": [["1", "2"]]}, NAMED, 'feature "length" is "1"', id="numbers as text"
        ),
        pytest.param({"instances": ["abc"]}, NAMED, "is a list of str", id="texts"),
        pytest.param(
            {"instances": [[1, {}]]}, NAMED, 'feature "width" is {}', id="an object as a number"
        ),
        pytest.param({"instances": [[1, 10**400]]}, NAMED, 'feature "width" is 1000', id="too big"),
        pytest.param(
            request(tensor(["a", "b"], [1, 2], "BYTES")),
            NAMED,
            '"input-0" has datatype BYTES',
            id="a tensor of text",
        ),
        pytest.param(
            {"instances": [{"length": 1}]}, NAMED, 'lacks the feature "width"', id="one is missing"
        ),
        pytest.param(
            {"instances": [{"length": 1, "widht": 2}]},
            NAMED,
            'has "widht", which is no feature of this model; did you mean "width"; give 2 features',
            id="misspelt",
        ),
        pytest.param(
            {"instances": [{"a": 1}]}, NAMELESS, "has 1 features; give 2 features", id="nameless"
        ),
        pytest.param(
            {"instances": [{"length": 1, "width": 2}, [1, 2]]},
            NAMED,
            '"instances"[1] is a int among objects',
            id="lists among objects",
        ),
        pytest.param(
            {"inputs": {"length": [1, 2], "width": [1]}},
            NAMED,
            'feature "width" has 1 values and feature "length" has 2',
            id="columns of other lengths",
        ),
        pytest.param(
            request(tensor([1], [1], name="length")  , tensor([1, 2], [2], name="width")),
            NAMED,
            'feature "width" has 2 values and feature "length" has 1',
            id="tensors of other lengths",
        ),
        pytest.param(
            {"instances": [[1, None]]},
            COMPLETE,
            '"instances"[0]: feature "width" is missing (NaN)',
            id="null where a number is needed",
        ),
        pytest.param(
            request(tensor([float("inf"), 1], [1, 2])),
            COMPLETE,
            '"input-0"[0]: feature "length" is infinite',
            id="infinite",
        ),
        pytest.param(request(), NAMED, 'Expected "inputs" to hold at least one', id="no tensor"),
        pytest.param(b"1,2", NAMED, "got bytes; send content-type application/json", id="bytes"),
        pytest.param({"rows": []}, NAMED, 'Expected a JSON object with "instances"', id="no key"),
        pytest.param({"instances": 3}, NAMED, 'Expected "instances" to be a list, got int', id="3"),
    ],
)  # fmt: skip
def test_what_is_said_of_rows_that_do_not_fit(payload, columns, said):
    with pytest.raises(InvalidInput) as caught:
        make_matrix(payload, columns)
    assert said in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["length", "width", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, st.sampled_from([NAMED, NAMELESS, COMPLETE]))
def test_any_json_is_a_matrix_or_a_refusal(value, columns):
    try:
        matrix = make_matrix({"instances": value}, columns)
    except InvalidInput:
        return
    assert matrix.ndim == 2
    assert matrix.shape[1] == 2
    assert len(matrix) > 0


@settings(deadline=None)
@given(arrays("f4", st.tuples(st.integers(1, 4), st.just(2))))
def test_rows_come_out_alike_whatever_form_they_came_in(rows):
    nan_as_null = [[None if np.isnan(v) else float(v) for v in row] for row in rows]
    forms = [
        {"instances": nan_as_null},
        {"instances": [{"width": w, "length": v} for v, w in nan_as_null]},
        request(tensor(rows.ravel().tolist(), list(rows.shape))),
        request(
            tensor(rows[:, 1].tolist(), [len(rows)], name="width"),
            tensor(rows[:, 0].tolist(), [len(rows)], name="length"),
        ),
    ]
    for form in forms:
        np.testing.assert_array_equal(make_matrix(form, NAMED), rows)
