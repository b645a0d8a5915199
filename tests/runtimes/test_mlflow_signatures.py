"""What a signature of MLflow declares beside numbers and texts: times, bytes, tensors, params."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.mlflow_columns import make_series
from sampan.runtimes.mlflow_document import parse_document
from sampan.runtimes.mlflow_named import NamedReader
from sampan.runtimes.mlflow_params import take_params

DECLARED = {
    "temperature": {"name": "temperature", "type": "double", "default": 0.5, "shape": None},
    "words": {"name": "words", "type": "string", "default": ["a"], "shape": [-1]},
    "deep": {"name": "deep", "type": "boolean", "default": False, "shape": None},
    "most": {"name": "most", "type": "long", "default": 1, "shape": None},
}


def column(kind: str):
    signature = {"inputs": json.dumps([{"name": "c", "type": kind}]), "params": None}
    text = json.dumps({"flavors": {"python_function": {}}, "signature": signature})
    (made,) = parse_document(text).inputs or ()
    return made


def test_times_are_read_in_nanoseconds():
    series = make_series(column("datetime"), ["2026-01-31T12:00:00", None])
    assert str(series.dtype) == "datetime64[ns]"
    assert series[0].isoformat() == "2026-01-31T12:00:00"
    with pytest.raises(InvalidInput, match='feature "c" holds what is no time'):
        make_series(column("datetime"), ["soon"])


def test_bytes_come_in_base64():
    assert list(make_series(column("binary"), ["aGk=", None, b"raw"])) == [b"hi", None, b"raw"]
    with pytest.raises(InvalidInput, match='feature "c" in row 1 is no base64'):
        make_series(column("binary"), ["aGk=", "not that"])


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("integer", 2**31, "the signature says integer, which ends at 2147483647"),
        ("long", -(2**63) - 1, "the signature says long, which ends at 9223372036854775807"),
        ("long", None, 'feature "c" is missing in row 0'),
    ],
)
def test_a_whole_number_that_has_no_room_is_told(kind, value, said):
    with pytest.raises(InvalidInput, match=said):
        make_series(column(kind), [value])


def tensors():
    specs = [
        {"name": n, "type": "tensor", "tensor-spec": {"dtype": d, "shape": s}}
        for n, d, s in (("x", "float64", [-1, 2]), ("y", "int64", [-1]))
    ]
    text = {"flavors": {"python_function": {}}, "signature": {"inputs": json.dumps(specs)}}
    return NamedReader(parse_document(json.dumps(text)).inputs or ())


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({"inputs": {"x": [[1, 2], [3, 4]], "y": [5, 6]}}, id="columns"),
        pytest.param(
            {"instances": [{"x": [1, 2], "y": 5}, {"x": [3, 4], "y": 6}]}, id="rows of objects"
        ),
        pytest.param(
            InferRequest(
                "m",
                [
                    InferInput("x", [2, 2], "FP64", data=[1, 2, 3, 4]),
                    InferInput("y", [2], "INT64", data=[5, 6]),
                ],
            ),
            id="V2",
        ),
    ],
)
def test_several_tensors_are_read_by_name(payload):
    made = tensors().read(payload)
    assert made["x"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert made["y"].tolist() == [5, 6]
    assert (made["x"].dtype, made["y"].dtype) == (np.float64, np.int64)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"x": [[1, 2]]}, 'lacks the tensor "y"; send "x", "y"'),
        ({"x": [[1, 2, 3]], "y": [1]}, r'"x" has shape \[1, 3\]'),
        ({"x": [[1, 2]], "y": [1.5]}, '"y" holds FP64 and the signature says INT64'),
        ([[1, 2]], 'the model takes several tensors; send "inputs" with "x", "y"'),
    ],
)
def test_tensors_that_do_not_fit_are_named(inputs, said):
    with pytest.raises(InvalidInput, match=said):
        tensors().read({"inputs": inputs})


def test_params_are_those_that_the_signature_declares():
    asked = {"temperature": 1, "words": ["b", "c"], "deep": True}
    assert take_params({"instances": [], "params": asked}, DECLARED) == asked
    assert take_params({"instances": []}, DECLARED) == {}
    request = InferRequest("m", [], parameters={"most": 3, "content_type": "pd"})
    assert take_params(request, DECLARED) == {"most": 3}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"temprature": 1}, '"temprature" is not one that the signature declares .*"temperature"'),
        ({"temperature": "hot"}, "\"temperature\" is 'hot'; send double"),
        ({"most": True}, '"most" is True; send long'),
        ({"most": 1.5}, '"most" is 1.5; send long'),
        ({"words": "b"}, "\"words\" is 'b'; send a list of string"),
        ([1], r'"params" is \[1\]; send an object'),
    ],
)
def test_params_that_are_wrong_are_named(params, said):
    with pytest.raises(InvalidInput, match=said):
        take_params({"instances": [], "params": params}, DECLARED)
