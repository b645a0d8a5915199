"""What every tabular format has in common, asked of real servers over V1, V2 and gRPC."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2 as wire

_SPEC = importlib.util.spec_from_file_location(
    "format_servers", Path(__file__).with_name("format_servers.py")
)
servers = importlib.util.module_from_spec(_SPEC)
sys.modules["format_servers"] = servers
_SPEC.loader.exec_module(servers)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
FORMATS = tuple(servers.EXAMPLES)
INFER = "/inference.GRPCInferenceService/ModelInfer"
NUMBERS = [[5.1, 3.5, 1.4, 0.2], [6.8, 2.8, 4.8, 1.4]]
PEOPLE = [["female", 35, 8], ["male", 35, 60]]
LAST = {
    "sklearn": "feature 3",
    "xgboost": "feature 3",
    "lightgbm": 'feature "petal_width_(cm)"',
    "catboost": 'feature "fare"',
    "pmml": 'feature "Petal.Width"',
    "mlflow": 'feature "petal width (cm)"',
}


@pytest.fixture(scope="module", params=FORMATS)
def served(request, tmp_path_factory):
    """Return a format and a server of its example's model."""
    model = servers.make_model(request.param, tmp_path_factory.mktemp("models"))
    with servers.serving(request.param, model) as server:
        yield request.param, server


def infer_grpc(port, tensors):
    """Return an error's words over gRPC, or the outputs."""
    request = wire.ModelInferRequest(model_name="m")
    for name, datatype, shape, data in tensors:
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        if datatype == "BYTES":
            tensor.contents.bytes_contents.extend(word.encode() for word in data)
        else:
            tensor.contents.fp64_contents.extend(data)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = channel.unary_unary(INFER)(request.SerializeToString(), timeout=60)
        except grpc.RpcError as error:
            return error.code(), error.details()
    return grpc.StatusCode.OK, wire.ModelInferResponse.FromString(answer)


def infer_rest(server, tensors):
    inputs = [
        {"name": name, "datatype": datatype, "shape": shape, "data": data}
        for name, datatype, shape, data in tensors
    ]
    return server.ask("/v2/models/m/infer", {"inputs": inputs})


def good_rows(format_name):
    return PEOPLE if format_name == "catboost" else NUMBERS


def good_tensors(format_name):
    """Return the rows as metadata says them: one matrix, or a tensor a column."""
    rows = good_rows(format_name)
    if format_name != "catboost":
        return [("instances", "FP64", [2, 4], [v for row in rows for v in row])]
    names = ("sex", "age", "fare")
    return [
        (name, "BYTES" if name == "sex" else "FP64", [2], list(column))
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    ]


def test_the_same_answer_over_v1_v2_and_grpc(served):
    name, server = served
    status, body = server.ask("/v1/models/m:predict", {"instances": good_rows(name)})
    assert status == 200, body
    predictions = json.loads(body)["predictions"]
    status, body = infer_rest(server, good_tensors(name))
    assert status == 200, body
    outputs = json.loads(body)["outputs"]
    code, answer = infer_grpc(server.port, good_tensors(name))
    assert code == grpc.StatusCode.OK, answer
    assert [o.name for o in answer.outputs] == [o["name"] for o in outputs]
    assert [list(o.shape) for o in answer.outputs] == [o["shape"] for o in outputs]
    first = outputs[0]["data"]
    if isinstance(predictions[0], dict):
        assert [row[outputs[0]["name"]] for row in predictions] == first
    else:
        flat = [v for p in predictions for v in (p if isinstance(p, list) else [p])]
        assert flat == first


def test_metadata_says_what_is_taken_and_answered(served):
    name, server = served
    told = json.loads(server.ask("/v2/models/m")[1])
    answered = json.loads(infer_rest(server, good_tensors(name))[1])["outputs"]
    assert [(o["name"], o["datatype"]) for o in told["outputs"]] == [
        (o["name"], o["datatype"]) for o in answered
    ]
    inputs = [
        (t["name"], t["datatype"], [2 if size == -1 else size for size in t["shape"]])
        for t in told["inputs"]
    ]
    if len(inputs) == 1:
        tensors = [(n, d, s, good_tensors(name)[0][3]) for n, d, s in inputs]
    else:
        columns = zip(*good_rows(name), strict=True)
        tensors = [(*i, list(column)) for i, column in zip(inputs, columns, strict=True)]
    assert infer_rest(server, tensors)[0] == 200


def bad(name, width_change=0, last=None, rows=1):
    """Return rows and the same as tensors, changed; `last` stands in each row's last place."""
    made = [list(row) for row in good_rows(name)[:rows]]
    for row in made:
        if last is not None:
            row[-1] = last
        if width_change:
            row.pop()
    return made


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param(lambda name: bad(name, width_change=-1), "features", id="too few columns"),
        pytest.param(lambda _: [], "no rows", id="no rows"),
        pytest.param(lambda _: [1.0], "row", id="no rows but numbers"),
        pytest.param(lambda name: bad(name, last="abc"), None, id="text for a number"),
        pytest.param(lambda name: bad(name, last={}), None, id="an object for a number"),
    ],
)
def test_bad_rows_over_v1_are_the_callers_fault_and_name_what_is_wrong(served, rows, said):
    name, server = served
    status, body = server.ask("/v1/models/m:predict", {"instances": rows(name)})
    assert status == 400, body
    wanted = said or LAST[name]
    assert wanted in json.loads(body)["error"]


def tensor_cases(name):
    """Return bad tensors by what is wrong, and the words that name it."""
    if name == "catboost":
        columns = good_tensors(name)
        return {
            "a column is missing": (columns[:2], 'lacks the feature "fare"'),
            "text for a number": (
                [*columns[:2], ("fare", "BYTES", [2], ["x", "y"])],
                'feature "fare" is "x"',
            ),
            "other lengths": ([*columns[:2], ("fare", "FP64", [1], [1.0])], 'feature "fare"'),
            "no rows": ([(n, d, [0], []) for n, d, _, _ in columns], "no rows"),
        }
    return {
        "too few columns": ([("instances", "FP64", [1, 3], [1.0, 2.0, 3.0])], '"instances" has 3'),
        "no rows": ([("instances", "FP64", [0, 4], [])], '"instances" has no rows'),
        "no matrix": ([("instances", "FP64", [4], [1.0, 2.0, 3.0, 4.0])], '"instances" is shape'),
        "text for a number": (
            [("instances", "BYTES", [1, 4], ["a", "b", "c", "d"])],
            None,
        ),
    }


CASES = ("too few columns", "a column is missing", "no rows", "no matrix", "text for a number",
         "other lengths")  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_tensors_are_told_alike_over_rest_and_grpc(served, case):
    name, server = served
    cases = tensor_cases(name)
    if case not in cases:
        pytest.skip("this format takes its rows in another form")
    tensors, said = cases[case]
    status, body = infer_rest(server, tensors)
    assert status == 400, body
    words = json.loads(body)["error"]
    assert said is None or said in words
    code, details = infer_grpc(server.port, tensors)
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, words)


@pytest.mark.parametrize("name", FORMATS)
def test_sub_folders_are_models_that_come_and_go(name, tmp_path):
    model = servers.make_model(name, tmp_path)
    many = tmp_path / "many"
    shutil.copytree(model, many / "one")
    with servers.serving(name, many) as server:
        assert json.loads(server.ask("/v2/models")[1])["models"] == ["one"]
        shutil.copytree(model, many / "two")
        assert server.ask("/v2/repository/models/two/load", b"")[0] == 200
        rows = {"instances": good_rows(name)}
        answers = [server.ask(f"/v1/models/{one}:predict", rows) for one in ("one", "two")]
        assert answers[0][0] == 200, answers
        assert answers[0][1] == answers[1][1]
        assert server.ask("/v2/repository/models/one/unload", b"")[0] == 200
        assert server.ask("/v1/models/one:predict", rows)[0] == 404
        assert server.ask("/v2/repository/models/gone/load", b"")[0] == 503


def test_mlflows_scoring_server(tmp_path):
    model = servers.make_model("mlflow", tmp_path)
    request = json.loads((model.parent / "request.json").read_text())
    head, rows = request["dataframe_split"]["columns"], request["dataframe_split"]["data"]
    lines = [",".join(head), *(",".join(map(str, row)) for row in rows)]
    with servers.serving("mlflow", model) as server:
        assert server.ask("/ping") == (200, b"\n")
        assert server.ask("/health") == (200, b"\n")
        assert server.ask("/version")[1].startswith(b"3.")
        wanted = (200, {"predictions": [1, 0]})
        csv = "\n".join(lines).encode()
        records = [dict(zip(head, row, strict=True)) for row in rows]
        for body, kind in (
            (request, "application/json; charset=utf-8"),
            ({"dataframe_records": records}, "application/json"),
            (csv, "text/csv"),
        ):
            status, answer = server.ask("/invocations", body, **{"content-type": kind})
            assert (status, json.loads(answer)) == wanted
        status, answer = server.ask("/invocations", b"1", **{"content-type": "image/png"})
        assert status == 415
        assert b"Got 'image/png'" in answer
        status, answer = server.ask("/invocations", {"dataframe_records": [{head[0]: 1}]})
        assert (status, b"lacks the feature" in answer) == (400, True)


def person(*words):
    """Run MLflow itself where it is installed; return what it prints."""
    script = Path(__file__).with_name("mlflow_person.py")
    command = [servers.engine_python("mlflow"), str(script), *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_python_model_is_served_where_it_is_trusted_and_mlflows_client_asks_it(tmp_path):
    person("save", tmp_path / "model")
    with servers.serving("mlflow", tmp_path / "model", "--trust") as server:
        assert json.loads(person("ask", server.port)) == [[11.0], [22.0]]
        tensors = [("b", "FP64", [1, 1], [2.0]), ("a", "FP64", [1, 1], [1.0])]
        assert json.loads(infer_rest(server, tensors)[1])["outputs"][0]["data"] == [3.0]
        status, body = server.ask("/v1/models/m:predict", {"instances": [{"a": 1, "b": "x"}]})
        assert (status, b'feature \\"b\\" is \\"x\\"' in body) == (400, True), body
