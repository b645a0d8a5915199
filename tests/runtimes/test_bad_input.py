"""One table of bad input for every format that the everyday environment has: each is the caller's
fault, names the tensor or the feature, and is told alike over V1, V2 and gRPC.

The other formats have the same in `test_tabular_formats` (slow) and `tests/engines`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import joblib
import lightgbm
import pytest
import skops.io
import xgboost
import yaml
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.svm import SVC
from tests.runtimes import onnx_models
from tritonclient.grpc import service_pb2 as wire

from sampan.runtimes.lightgbm import LightGBMModel
from sampan.runtimes.mlflow import MLflowModel
from sampan.runtimes.onnx import OnnxModel
from sampan.runtimes.sklearn import SKLearnModel
from sampan.runtimes.xgboost import XGBoostModel
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

HAS_ONNX = importlib.util.find_spec("onnxruntime") is not None
X, Y = load_iris(return_X_y=True)
NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
GOOD = [6.8, 2.8, 4.8, 1.4]
NAN, INFINITE = float("nan"), float("inf")
INFER = "/inference.GRPCInferenceService/ModelInfer"


# -- a model of four numbers a row in every format ---------------------------------------------


def sklearn_joblib(folder: Path) -> Model:
    joblib.dump(SVC().fit(X, Y), folder / "model.joblib")
    return SKLearnModel("sklearn", str(folder))


def sklearn_skops(folder: Path) -> Model:
    skops.io.dump(SVC().fit(X, Y), folder / "model.skops")
    return SKLearnModel("skops", str(folder))


def sklearn_missing(folder: Path) -> Model:
    joblib.dump(HistGradientBoostingClassifier(max_iter=2).fit(X, Y), folder / "model.joblib")
    return SKLearnModel("sklearn-missing", str(folder))


def xgboost_json(folder: Path) -> Model:
    data = xgboost.DMatrix(X, Y, feature_names=NAMES)
    parameters = {"objective": "multi:softmax", "num_class": 3, "nthread": 1}
    xgboost.train(parameters, data, 2).save_model(folder / "model.json")
    return XGBoostModel("xgboost", str(folder))


def lightgbm_text(folder: Path) -> Model:
    data = lightgbm.Dataset(X, Y, feature_name=[name.replace(" ", "_") for name in NAMES])
    parameters = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    lightgbm.train(parameters, data, 2).save_model(folder / "model.txt")
    return LightGBMModel("lightgbm", str(folder))


def mlflow_sklearn(folder: Path) -> Model:
    joblib.dump(SVC().fit(X, Y), folder / "model.pkl")
    inputs = [{"type": "double", "name": name, "required": True} for name in NAMES]
    function = {
        "loader_module": "mlflow.sklearn", "model_path": "model.pkl", "predict_fn": "predict"
    }  # fmt: skip
    document = {
        "mlflow_version": "3.1.0",
        "flavors": {"python_function": function},
        "signature": {"inputs": json.dumps(inputs), "outputs": None},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    return MLflowModel("mlflow", str(folder))


def onnx(folder: Path) -> Model:
    onnx_models.save(onnx_models.linear(), folder / "model.onnx")
    return OnnxModel("onnx", str(folder))


class Format(NamedTuple):
    """How a format's model is made, what its tensor is called and holds, and what it puts up with.

    `last` is how it names the last feature.
    """

    make: Any
    last: str
    tensor: str = "instances"
    datatype: str = "FP64"
    missing: bool = False
    infinite: bool = False


FORMATS = {
    "sklearn": Format(sklearn_joblib, "feature 3"),
    "skops": Format(sklearn_skops, "feature 3"),
    "sklearn-missing": Format(sklearn_missing, "feature 3", missing=True, infinite=True),
    "xgboost": Format(xgboost_json, 'feature "petal width"', missing=True),
    "lightgbm": Format(lightgbm_text, 'feature "petal_width"', missing=True, infinite=True),
    "mlflow": Format(mlflow_sklearn, 'feature "petal width"'),
    "onnx": Format(onnx, 'input "x"', "x", "FP32", missing=True, infinite=True),
}
if not HAS_ONNX:
    del FORMATS["onnx"]
TABLES = [name for name in FORMATS if name != "onnx"]


# -- asking ------------------------------------------------------------------------------------


@contextmanager
def listening(models: dict[str, Model]) -> Iterator[str]:
    """Serve models on loopback, on a thread of its own."""
    repository = ModelRepository()
    for name, model in models.items():
        model.load()
        repository.update(model, name)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> Listener:
        dataplane = DataPlane(repository, Workers(2))
        dataplane.started = True
        listener = Listener(Rest(dataplane).submit, None, Grpc(dataplane))
        await listener.listen("127.0.0.1", 0)
        return listener

    listener = asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
    try:
        yield f"127.0.0.1:{listener.address[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(listener.drain(0), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Server:
    """A server of every format, and its clients."""

    def __init__(self, address: str) -> None:
        self._rest = httpx.Client(base_url=f"http://{address}", timeout=60)
        self._channel = grpc.insecure_channel(address)

    def close(self) -> None:
        self._rest.close()
        self._channel.close()

    def v1(self, model: str, body: Any) -> tuple[int, str]:
        """Return status and words; `body` is JSON, with NaN where it has it."""
        path = f"/v1/models/{model}:predict"
        answer = self._rest.post(path, content=json.dumps(body).encode(), headers=JSON)
        return answer.status_code, answer.json().get("error", "")

    def v2(self, model: str, tensors: list[dict[str, Any]]) -> tuple[int, str]:
        body = json.dumps({"inputs": tensors}).encode()
        answer = self._rest.post(f"/v2/models/{model}/infer", content=body, headers=JSON)
        return answer.status_code, answer.json().get("error", "")

    def rpc(self, model: str, tensors: list[dict[str, Any]]) -> tuple[str, str]:
        request = wire.ModelInferRequest(model_name=model)
        for tensor in tensors:
            made = request.inputs.add(**{k: v for k, v in tensor.items() if k != "data"})
            fill(made.contents, tensor["datatype"], tensor["data"])
        try:
            self._channel.unary_unary(INFER)(request.SerializeToString(), timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return "OK", ""


JSON = {"content-type": "application/json"}


def fill(contents: Any, datatype: str, data: list[Any]) -> None:
    if datatype == "BYTES":
        contents.bytes_contents.extend(word.encode() for word in data)
    elif datatype == "BOOL":
        contents.bool_contents.extend(data)
    elif datatype == "FP32":
        contents.fp32_contents.extend(data)
    else:
        contents.fp64_contents.extend(data)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serve a model of every format, under the format's name."""
    models = {
        name: one.make(tmp_path_factory.mktemp(f"bad-{name}")) for name, one in FORMATS.items()
    }
    with listening(models) as address:
        made = Server(address)
        yield made
        made.close()


def tensor(one: Format, rows: list[Any], shape: list[int], datatype: str = "") -> dict[str, Any]:
    flat = [v for row in rows for v in (row if isinstance(row, list) else [row])]
    return {
        "name": one.tensor, "shape": shape, "datatype": datatype or one.datatype, "data": flat
    }  # fmt: skip


# -- the table ---------------------------------------------------------------------------------


class Bad(NamedTuple):
    """Rows, the shape of their tensor, its datatype where it is not the model's, and the words that
    must come, which may name the tensor (`{t}`) and the last feature (`{last}`).

    `formats`: whom it is bad for. `lists_alone`: V1 tells it in other words, of lists.
    """

    rows: list[Any]
    shape: list[int]
    words: str
    datatype: str = ""
    formats: str = "all"
    lists_alone: bool = False


TABLE = {
    "a feature is missing": Bad([GOOD[:3]], [1, 3], "{t}"),
    "a feature too many": Bad([[*GOOD, 9.0]], [1, 5], "{t}"),
    "a row by itself": Bad(GOOD, [4], "{t}"),
    "rows of rows": Bad([[GOOD]], [1, 1, 4], "{t}"),
    "no rows": Bad([], [0, 4], "{t}"),
    "text for a number": Bad([["a", "b", "c", "d"]], [1, 4], "", "BYTES", lists_alone=True),
    "a missing value": Bad([[*GOOD[:3], NAN]], [1, 4], "{last} is missing", formats="missing"),
    "an infinite value": Bad([[*GOOD[:3], INFINITE]], [1, 4], "{last} is infinite",
                             formats="infinite"),
}  # fmt: skip


def refused(case: Bad) -> list[str]:
    """Return the formats that a case is bad for."""
    return [
        name for name, one in FORMATS.items()
        if case.formats == "all" or not getattr(one, case.formats)
    ]  # fmt: skip


def rows_of(case: Bad) -> list[Any]:
    """Return rows as JSON has them in V1: null for what is missing."""
    return [
        [None if v is NAN else v for v in row] if isinstance(row, list) else row
        for row in case.rows
    ]


@pytest.mark.parametrize(
    ("name", "what"), [(name, what) for what, case in TABLE.items() for name in refused(case)]
)
def test_bad_rows_are_the_callers_fault_in_the_same_words_everywhere(server, name, what):
    one, case = FORMATS[name], TABLE[what]
    has_form = what != "an infinite value"  # JSON has no infinite number
    v1 = server.v1(name, {"instances": rows_of(case)}) if has_form else None
    flat = case.rows if what != "rows of rows" else case.rows[0]
    tensors = [tensor(one, flat, case.shape, case.datatype)]
    status, words = server.v2(name, tensors)
    assert (status, one.tensor in words) == (400, True), words
    for part in case.words.format(t=one.tensor, last=one.last).split("|"):
        assert part in words
    assert server.rpc(name, tensors) == ("INVALID_ARGUMENT", words)
    if v1 is not None and not (case.lists_alone and name in TABLES):
        assert v1 == (400, words)
    elif v1 is not None:
        assert v1[0] == 400
        assert "feature" in v1[1]


@pytest.mark.parametrize(
    ("name", "what"),
    [(n, w) for w, case in TABLE.items() for n in FORMATS if n not in refused(case)],
)
def test_what_a_model_puts_up_with_is_answered_everywhere(server, name, what):
    one, case = FORMATS[name], TABLE[what]
    tensors = [tensor(one, case.rows, case.shape)]
    assert server.v2(name, tensors)[0] == 200
    assert server.rpc(name, tensors)[0] == "OK"


@pytest.mark.parametrize("name", FORMATS)
def test_a_good_row_is_answered_everywhere(server, name):
    tensors = [tensor(FORMATS[name], [GOOD], [1, 4])]
    assert server.v1(name, {"instances": [GOOD]})[0] == 200
    assert server.v2(name, tensors)[0] == 200
    assert server.rpc(name, tensors)[0] == "OK"


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param([GOOD], "instances", id="a list alone"),
        pytest.param({"rows": [GOOD]}, "instances", id="another key"),
        pytest.param({"instances": "text"}, "instances", id="text alone"),
        pytest.param({"instances": None}, "instances", id="nothing"),
    ],
)
def test_a_body_of_v1_that_holds_no_rows_is_told(server, name, body, said):
    status, words = server.v1(name, body)
    assert (status, said in words) == (400, True), words


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"datatype": "FP31"}, "FP31", id="a datatype that there is not"),
        pytest.param({"shape": [2, 4]}, "", id="a shape of more than there is"),
    ],
)
def test_a_tensor_that_contradicts_itself_is_told(server, name, change, said):
    sound = tensor(FORMATS[name], [GOOD], [1, 4])
    status, words = server.v2(name, [{**sound, **change}])
    assert (status, said in words) == (400, True), words
    assert server.rpc(name, [{**sound, **change}])[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("name", FORMATS)
def test_no_tensor_at_all_is_told_alike(server, name):
    status, words = server.v2(name, [])
    assert status == 400
    assert server.rpc(name, []) == ("INVALID_ARGUMENT", words)
    assert "input" in words


@pytest.mark.parametrize("name", [name for name in TABLES if '"' in FORMATS[name].last])
def test_a_row_that_lacks_a_feature_by_its_name_is_told_so(server, name):
    names = [FORMATS[name].last.split('"')[1].replace("petal", p).replace("width", w)
             for p in ("sepal", "petal") for w in ("length", "width")]  # fmt: skip
    row = dict(zip(names, GOOD, strict=True))
    assert server.v1(name, {"instances": [row]})[0] == 200
    gone = row.pop(names[3])
    status, words = server.v1(name, {"instances": [row]})
    assert (status, f'"{names[3]}"' in words) == (400, True), words
    columns = [
        {"name": n, "shape": [1], "datatype": "FP64", "data": [v]} for n, v in row.items()
    ]  # fmt: skip
    status, words = server.v2(name, columns)
    assert (status, f'"{names[3]}"' in words) == (400, True), words
    assert server.rpc(name, columns) == ("INVALID_ARGUMENT", words)
    whole = {"name": names[3], "shape": [1], "datatype": "FP64", "data": [gone]}
    assert server.v2(name, [*columns, whole])[0] == 200
