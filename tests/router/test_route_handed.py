"""Values that steps of one process hand each other: to everybody the JSON that they stand for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeRegressor
from tests.router.fused_sides import MODEL, make_sides
from tests.router.graph_cases import node

from sampan.protocol import v1, v2, v2_arrays
from sampan.protocol.datatypes import from_np_dtype
from sampan.protocol.errors import ServingError
from sampan.protocol.tensors import InferOutput, InferResponse
from sampan.router.body import Carried
from sampan.router.body_map import CannotFill, fill, parse_body
from sampan.router.graph import Graph, make_graph
from sampan.router.mapping import map_predictions
from sampan.server.graph_values import carry, read_request, read_rows

arrays = hnp.arrays(
    st.sampled_from(["?", "i1", "i4", "i8", "u2", "u8", "f2", "f4", "f8", ">f8", "<M8[s]", "O"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
parameters = st.none() | st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3))


@settings(max_examples=150)
@given(arrays)
def test_rows_that_are_handed_over_are_those_that_json_would_have_told(array: Any) -> None:
    carried = carry({"predictions": array})
    if carried is None:
        return
    text = v1.encode({"predictions": array})[0]
    assert carried.text() == text
    mapped, told = map_predictions(carried), map_predictions(text)
    assert isinstance(mapped, Carried)
    assert isinstance(told, bytes)
    assert mapped.text() == told
    rows, expected = read_rows(mapped.value), np.array(orjson.loads(told)["instances"])
    assert rows is not None
    assert (rows.dtype, rows.shape) == (expected.dtype, expected.shape)
    assert rows.tobytes() == expected.tobytes()


@settings(max_examples=150)
@given(st.lists(st.tuples(arrays, parameters), min_size=1, max_size=3), parameters)
def test_tensors_that_are_handed_over_are_those_that_json_would_have_told(
    told: list[tuple[Any, Any]], own: Any
) -> None:
    response = InferResponse("1", "m", [_output(*one) for one in told], parameters=own)
    carried = carry(response)
    if carried is None:
        return
    assert carried.text() == v2.encode(response)[0]
    template = parse_body({"inputs": "$response.outputs", "id": "2"})
    handed, text = (fill(template, b"{}", body) for body in (carried, carried.text()))
    assert isinstance(handed, Carried)
    assert handed.text() == text
    request = read_request(handed.value, "m")
    if request is None:
        return
    expected = v2.decode(handed.text(), b"application/json", None, "m")
    for ours, theirs in zip(request.inputs, expected.inputs, strict=True):
        assert (ours.form, ours.parameters) == (theirs.form, theirs.parameters)
        assert ours.as_numpy().dtype == theirs.as_numpy().dtype
        assert ours.as_numpy().tobytes() == theirs.as_numpy().tobytes()
        assert ours.to_dict() == theirs.to_dict()
    assert request.to_dict() == expected.to_dict()


def _output(array: Any, told: Any) -> InferOutput:
    output = InferOutput("x", list(array.shape), from_np_dtype(array.dtype) or "FP64", None, told)
    output.set_array(array)
    return output


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.array([1.0, np.nan]), id="not a number: JSON has null"),
        pytest.param(np.array([2**63], dtype="u8"), id="whole numbers beyond int64"),
        pytest.param(np.zeros((0, 4)), id="no rows: a list does not tell their type"),
        pytest.param(np.array(["a"]), id="text"),
        pytest.param(np.array([0.1], dtype="f4"), id="float32, of which V1 tells fewer digits"),
        pytest.param(np.array([0.1], dtype="f2"), id="float16"),
        pytest.param(np.array(1.0), id="no rows at all"),
        pytest.param([1.0], id="a list"),
    ],
)
def test_what_json_would_tell_otherwise_goes_as_json(array: Any) -> None:
    assert carry({"predictions": array}) is None


def test_what_is_handed_over_cannot_be_changed_and_is_not_copied() -> None:
    array = np.arange(12.0).reshape(3, 4)
    response = InferResponse("1", "m", [_output(array, None)])
    carried = carry(response)
    assert carried is not None
    template = parse_body({"inputs": "$response.outputs"})
    handed = fill(template, b"{}", carried)
    assert isinstance(handed, Carried)
    request = read_request(handed.value, "m")
    assert request is not None
    received = request.inputs[0].as_numpy()
    assert np.shares_memory(received, array)
    assert not received.flags.writeable
    assert array.flags.writeable  # its own model's


def test_text_is_written_once_and_only_when_somebody_reads_it() -> None:
    written = []

    def write(value: Any) -> bytes:
        written.append(value)
        return b"{}"

    carried = Carried({"predictions": np.ones(2)}, write)
    map_predictions(carried)
    fill(parse_body({"instances": "$response.predictions"}), b"{}", carried)
    assert written == []
    assert carried.text() == carried.text() == b"{}"
    assert len(written) == 1


ANSWER: dict[str, Any] = {"predictions": np.array([[1.5, 2.0], [3.0, 4.0]])}
PICKS: list[Any] = [
    "$response", "$response.predictions", "$response.predictions.1", "$response.predictions.#",
    "$response.predictions.0.1", {"a": ["$request.x", "$response.predictions"]}, "$response.y",
    "$response.predictions.#(>2)", "$response.@this.predictions", "$response.pred*",
]  # fmt: skip


@pytest.mark.parametrize("pick", PICKS, ids=map(str, PICKS))
def test_a_mapping_finds_in_a_value_what_it_finds_in_its_text(pick: Any) -> None:
    carried = carry(ANSWER)
    assert carried is not None
    assert _filled(pick, carried) == _filled(pick, carried.text())


def _filled(pick: Any, body: bytes | Carried) -> Any:
    try:
        made = fill(parse_body(pick), b'{"x":1}', body)
    except CannotFill as problem:
        return str(problem)
    return made.text() if isinstance(made, Carried) else made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of four numbers in and out."""
    folder = tmp_path_factory.mktemp("turning")
    data = load_iris().data
    joblib.dump(DecisionTreeRegressor().fit(data, data[:, ::-1]), folder / "model.joblib")
    return folder


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


V1_STEP = {"serviceUrl": f"local:/v1/models/{MODEL}:predict"}
V2_STEP = {"serviceUrl": f"local:/v2/models/{MODEL}/infer"}


def _pipe(*steps: dict[str, Any], kind: str = "Sequence") -> Graph:
    return make_graph({"nodes": {"root": node(kind, *steps)}})


def _given(body: Any) -> dict[str, Any]:
    return {"sampan": {"body": body}}


MAPPED = {"data": "$response", "mapPredictionsToInstances": True}
TENSORS = {"inputs": "$response.outputs", "id": "$response.id"}
GRAPHS = {
    "predictions are the next instances": _pipe(V1_STEP, *[{**V1_STEP, **MAPPED}] * 2),
    "instances are picked": _pipe(
        V1_STEP, V1_STEP | _given({"instances": "$response.predictions"})
    ),
    "a part of the rows is picked": _pipe(
        V1_STEP, V1_STEP | _given({"instances": ["$response.predictions.0"]})
    ),
    "outputs are the next inputs": _pipe(V2_STEP, *[V2_STEP | _given(TENSORS)] * 2),
    "an answer is passed on as it is": _pipe(V2_STEP, {**V2_STEP, "data": "$response"}),
    "a condition looks into an answer": _pipe(
        V1_STEP, {**V1_STEP, **MAPPED, "condition": "predictions.#(0>3)"}
    ),
    "from tensors to rows": _pipe(
        V2_STEP, V1_STEP | _given({"instances": ["$response.outputs.0.data"]})
    ),
    "an ensemble of both": _pipe(V1_STEP, V2_STEP, kind="Ensemble"),
}
ROW = [5.1, 3.5, 1.4, 0.2]
cells = st.integers(-9, 9) | st.floats(-9, 9) | st.sampled_from([ROW[0], 1e300, None, True, "a"])
tables = st.lists(st.lists(cells, min_size=4, max_size=4), max_size=3) | st.just([ROW] * 400)


def _requests(rows: list[list[Any]]) -> bytes:
    """A body that both protocols read; the id is the request's, so that answers may be compared."""
    data = [cell for row in rows for cell in row]
    tensor = {"name": "x", "shape": [len(rows), 4], "datatype": "FP64", "data": data}
    return orjson.dumps({"instances": rows, "inputs": [tensor], "id": "1"})


def _of_v1(rows: list[list[Any]]) -> bytes:
    return orjson.dumps({"instances": rows})


def _of_v2(rows: list[list[Any]]) -> bytes:
    told = orjson.loads(_requests(rows))
    del told["instances"]
    return orjson.dumps(told)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_answers_and_counts_the_same_whether_it_hands_values_or_json(
    name: str, folder: Path, loop: asyncio.AbstractEventLoop
) -> None:
    handed, texts = loop.run_until_complete(make_sides(GRAPHS[name], folder))
    bodies = st.builds(
        lambda write, rows: write(rows), st.sampled_from([_of_v1, _of_v2, _requests]), tables
    )

    @settings(max_examples=25)
    @given(st.lists(bodies, min_size=1, max_size=4))
    def law(asked: list[bytes]) -> None:
        told, expected = (loop.run_until_complete(side.ask(*asked)) for side in (handed, texts))
        assert [(a.status, a.content_type, a.body) for a in told] == [
            (a.status, a.content_type, a.body) for a in expected
        ]

    law()
    assert handed.counts() == texts.counts()


@pytest.mark.parametrize("rows", [1, 2000], ids=["gathered", "on a thread"])
async def test_json_is_read_once_on_its_way_through_models_that_take_each_others_tensors(
    rows: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed, _ = await make_sides(GRAPHS["outputs are the next inputs"], folder)
    read, decode = [], v2.decode

    def watched(body: bytes, *told: Any) -> Any:
        read.append(body)
        return decode(body, *told)

    monkeypatch.setattr(v2, "decode", watched)
    monkeypatch.setattr(v2_arrays, "decode_arrays", lambda *_: None)  # large bodies, too
    body = _of_v2([ROW] * rows)
    [answer] = await handed.ask(body)
    assert answer.status == 200
    assert read == [body]


def test_an_input_that_says_something_else_than_its_array_is_judged_as_json_is() -> None:
    array = np.arange(4.0)
    item: dict[str, Any] = {"name": "x", "shape": [4], "datatype": "FP64", "data": array}
    assert read_request({"inputs": [{**item, "datatype": "INT8"}]}, "m") is None  # JSON truncates
    for told in ({"shape": [3]}, {"datatype": "FP7"}, {"name": 1}):
        item |= {"shape": [4], "datatype": "FP64"} | told
        assert read_request({"inputs": [item]}, "m") is None
        text = orjson.dumps({"inputs": [item]}, option=orjson.OPT_SERIALIZE_NUMPY)
        with pytest.raises(ServingError):
            v2.decode(text, b"application/json", None, "m")
